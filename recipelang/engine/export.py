"""The output folder: weights with metadata of their own, and all else that belongs to the model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.checkpoint import wholly
from recipelang.engine.gathered import Gathered, gathered
from recipelang.engine.models import DTYPES, quiet
from recipelang.engine.offload import Offloaded
from recipelang.engine.spill import bytes_of
from recipelang.planning.belongings import belongings
from recipelang.planning.safetensors_header import DTYPES as STORED
from recipelang.storage.reading import Unreadable, read_bytes
from recipelang.storage.writing import new_folder, remove_folder, write_bytes, write_pieces, writing

#: more than any tokenizer takes
_MOST = 2**30


def save_model(
    model: nn.Module,
    folder: Path,
    source: Path,
    max_shard: int,
    metadata: dict[str, str],
    task: str,
    disk: Offloaded | None = None,
) -> None:
    """Weights and config that `from_pretrained` loads, and all else that belongs to the model it came from.

    `disk`: where the weights are that are not in memory. The files are the same.
    """
    absent = gathered(model) if disk is None else disk
    if not processes.main():
        if isinstance(absent, Gathered):
            absent.serve()
        return
    weights = wholly(model.state_dict(keep_vars=True)) if absent is None else absent.shapes()
    save = _saving(metadata) if absent is None else _piece_by_piece(metadata, absent, weights)
    written = _written_by(save) if absent is None else _written_by(save, _in_files)
    with new_folder(folder) as part, quiet(), _plain_generation(model):
        with written:
            model.save_pretrained(part, state_dict=weights, max_shard_size=max_shard)  # type: ignore[operator]
        if isinstance(absent, Gathered):
            absent.end()
        carry(source, part, task)
        for path in sorted(part.glob("*.safetensors")):
            _in_order(path)
            shutil.copymode(part / "config.json", path)  # the library makes it private


def carry(source: Path, folder: Path, task: str) -> None:
    """What belongs to a model beside its weights and its config, as it is, with the rights of new files."""
    for name in belongings(source, task):
        try:
            write_bytes(folder / name, read_bytes(source / name, _MOST), inside=folder)
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


Save = Callable[[dict[str, Tensor], Any, dict[str, str]], None]


@contextmanager
def _written_by(save: Save, divide: Callable[..., Any] | None = None) -> Iterator[None]:
    """What writes a file of weights, as transformers has divided and named them; and what divides them, if not that.

    Its own metadata is one word, and writing every file again to add ours would take as long as the first time; and it
    would hold a whole file in memory.
    """
    from transformers import modeling_utils

    before = modeling_utils.safe_save_file, modeling_utils.split_torch_state_dict_into_shards

    def written(tensors: dict[str, Tensor], filename: Any, metadata: dict[str, str] | None = None) -> None:
        save(tensors, filename, metadata or {})

    modeling_utils.safe_save_file = written
    modeling_utils.split_torch_state_dict_into_shards = divide or before[1]
    try:
        yield
    finally:
        modeling_utils.safe_save_file, modeling_utils.split_torch_state_dict_into_shards = before


def _saving(ours: dict[str, str]) -> Save:
    """With where the weights come from in their headers."""
    return lambda tensors, filename, metadata: save_file(tensors, filename, {**metadata, **ours})


def _piece_by_piece(ours: dict[str, str], disk: Offloaded | Gathered, weights: Mapping[str, Tensor]) -> Save:
    """The same files of weights that are on disk or in shards, one tensor in memory at a time.

    `weights`: by the names of the model; transformers hands on the very tensors under the names of its files.
    """
    names = {id(t): disk.canonical(n) for n, t in weights.items()}
    held = list(weights.values())  # it takes them out of its table, and an `id` must stay what it is
    stored_as = {n: name for name in disk.made for n in disk.conversions.apart(name, disk.absent[name])}
    apart: dict[str, dict[str, Tensor]] = {}  # of parameters that files hold in parts, those of one module

    def now(name: str, tensor: Tensor) -> Tensor:
        if (known := names.get(id(tensor))) is not None:
            return next(w for _, w in disk.read([known]))
        whole = stored_as[name]
        if whole not in apart:
            beside = {n for n in apart if n.rpartition(".")[0] == whole.rpartition(".")[0]}
            for other in apart.keys() - beside:
                del apart[other]
            apart[whole] = disk.conversions.apart(whole, next(w for _, w in disk.read([whole])))
        return apart[whole][name]

    def write(tensors: dict[str, Tensor], filename: Any, metadata: dict[str, str]) -> None:
        # as the library orders them: the widest numbers first, then by name
        ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
        header: dict[str, Any] = {"__metadata__": dict(sorted({**metadata, **ours}.items()))}
        at = 0
        for name, tensor in ordered:
            end = at + tensor.numel() * tensor.element_size()
            dtype = _STORED[tensor.dtype]
            header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [at, end]}
            at = end
        text = _header_text(header)
        pieces = (bytes_of(now(name, tensor)) for name, tensor in ordered)
        path = Path(filename)
        write_pieces(path, chain([len(text).to_bytes(8, "little"), text], pieces), inside=path.parent)

    assert held
    return write


def _in_files(tensors: dict[str, Tensor], **how: Any) -> Any:
    """As the library divides tensors over files: it tells parts of one apart by their addresses, which have none here."""
    from huggingface_hub import split_state_dict_into_shards_factory
    from huggingface_hub.serialization._torch import get_torch_storage_size

    def storage(tensor: Tensor) -> tuple[int, int]:
        return tensor.untyped_storage()._cdata, tensor.untyped_storage().nbytes()

    return split_state_dict_into_shards_factory(
        tensors, get_storage_size=get_torch_storage_size, get_storage_id=storage, **how
    )


#: of weights, as safetensors names them
_STORED = {DTYPES[ours]: name for ours, name in STORED.items()}


def _header_text(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return text.ljust(-(-len(text) // 8) * 8)


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
