"""The output folder: weights with metadata of their own, and all else that belongs to the model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.checkpoint import wholly
from recipelang.engine.models import quiet
from recipelang.planning.belongings import belongings
from recipelang.storage.reading import Unreadable, read_bytes
from recipelang.storage.writing import new_folder, remove_folder, write_bytes, writing

#: more than any tokenizer takes
_MOST = 2**30


def save_model(
    model: nn.Module, folder: Path, source: Path, max_shard: int, metadata: dict[str, str], task: str
) -> None:
    """Weights and config that `from_pretrained` loads, and all else that belongs to the model it came from."""
    weights = wholly(model.state_dict())
    if not processes.main():
        return
    carried = belongings(source, task)
    with new_folder(folder) as part, quiet(), _plain_generation(model), _stamped(metadata):
        model.save_pretrained(part, state_dict=weights, max_shard_size=max_shard)  # type: ignore[operator]
        for name in carried:
            _carry(source / name, part / name, part)
        for path in sorted(part.glob("*.safetensors")):
            _in_order(path)
            shutil.copymode(part / "config.json", path)  # the library makes it private


def _carry(source: Path, target: Path, part: Path) -> None:
    """A file of the model as it is, with the rights of a new one."""
    try:
        write_bytes(target, read_bytes(source, _MOST), inside=part)
    except Unreadable as error:
        raise error.coded("E076") from None


@contextmanager
def _plain_generation(model: nn.Module) -> Iterator[None]:
    """The library refuses to write some settings that it reads: of those the numbers of tokens are left to write."""
    before: Any = getattr(model, "generation_config", None)
    try:
        if before is not None:
            before.validate(strict=True)
    except ValueError:
        tokens = {n: getattr(before, n) for n in ("bos_token_id", "eos_token_id", "pad_token_id")}
        model.generation_config = type(before)(**tokens)
    try:
        yield
    finally:
        if before is not None:
            model.generation_config = before


@contextmanager
def _stamped(ours: dict[str, str]) -> Iterator[None]:
    """Where weights come from goes into their headers as they are written: transformers' own metadata is one word, and
    writing every file again to add ours would take as long as the first time."""
    from transformers import modeling_utils

    save = modeling_utils.safe_save_file

    def stamped(tensors: dict[str, Tensor], filename: Any, metadata: dict[str, str] | None = None) -> None:
        save(tensors, filename, {**(metadata or {}), **ours})

    modeling_utils.safe_save_file = stamped
    try:
        yield
    finally:
        modeling_utils.safe_save_file = save


def _in_order(path: Path) -> None:
    """The library writes metadata in an order of chance: the same weights would have another digest each time."""
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        if len(text) <= size:  # the same characters in another order
            file.seek(8)
            file.write(text.ljust(size))


def move_up(folder: Path, out: Path) -> None:
    """Every file of a finished export into the output folder, each by one rename."""
    with writing(out):
        for path in sorted(folder.iterdir()):
            if path.is_dir() and (out / path.name).is_dir():  # a folder takes no other's place
                remove_folder(out / path.name, inside=out)
            path.replace(out / path.name)
        folder.rmdir()
