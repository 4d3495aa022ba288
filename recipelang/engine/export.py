"""The output folder: weights with metadata of their own, and the tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from torch import nn

from recipelang import processes
from recipelang.engine.checkpoint import wholly
from recipelang.engine.models import quiet
from recipelang.storage.writing import new_folder, writing

_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
)


def save_model(model: nn.Module, folder: Path, source: Path, max_shard: int, metadata: dict[str, str]) -> None:
    """Weights and config that `from_pretrained` loads, and the tokenizer of the model it came from."""
    weights = wholly(model.state_dict())
    if not processes.main():
        return
    with new_folder(folder) as part, quiet():
        model.save_pretrained(part, state_dict=weights, max_shard_size=max_shard)  # type: ignore[operator]
        for name in _TOKENIZER:
            if (source / name).exists():
                shutil.copyfile(source / name, part / name)
        _stamp(part, metadata)


def _stamp(folder: Path, metadata: dict[str, str]) -> None:
    """Put where the weights come from into their own header."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118 (not a mapping)
            own = file.metadata() or {}
        save_file(tensors, path, {**own, **metadata})
        _in_order(path)
        shutil.copymode(folder / "config.json", path)  # the library makes it private


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
            path.replace(out / path.name)
        folder.rmdir()
