"""Names, types and shapes from the header of a safetensors file; no weights are read, no torch.

The format: eight bytes of length (little endian), a JSON header, then the data. The library checks every number
in the header against the file; here is checked that the header is of a size to be read, and where tensors begin.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from safetensors import SafetensorError, safe_open

from recipelang.source import RecipeError, fail
from recipelang.source.words import limit_text
from recipelang.storage.forms import OpenForm
from recipelang.storage.reading import Unreadable, Why, open_regular, read_model
from recipelang.storage.strict_json import parse_json

#: of all weight files of a model together; a quarter of a million tensors take half of it
MAX_HEADER = 32 * 2**20
#: as many as torch has
MAX_DIMENSIONS = 64
INDEX = "model.safetensors.index.json"
ITEM_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip

#: dtypes of weights, as recipes name them, by the names that safetensors has
DTYPES = {"fp32": "F32", "bf16": "BF16", "fp16": "F16"}


class Places(OpenForm):
    """The index of shards."""

    weight_map: dict[str, str]


@dataclass(frozen=True)
class Entry:
    dtype: str
    shape: tuple[int, ...]
    file: str = ""  # its name in the folder
    start: int = 0  # of its bytes in the file


def read_header(path: Path) -> dict[str, Entry]:
    """Tensor name -> type and shape. E076 when the file is not whole."""
    raw = header_text(path)
    try:
        header = parse_json(raw)
        with safe_open(path, "numpy"):  # it holds every number to the file
            pass
    except ValueError as error:
        raise _damaged(path, f"the header: {error}") from None
    except (SafetensorError, OSError):  # the library's own words are not made for people
        raise _damaged(path, "the header does not describe what the file holds") from None
    data = 8 + len(raw)
    entries = {
        name: Entry(told["dtype"], tuple(told["shape"]), path.name, data + told["data_offsets"][0])
        for name, told in header.items()
        if name != "__metadata__"
    }
    if odd := next((name for name, entry in entries.items() if len(entry.shape) > MAX_DIMENSIONS), None):
        raise _damaged(path, f"`{odd}` has more than {MAX_DIMENSIONS} dimensions")
    return entries


def header_text(path: Path) -> bytes:
    """The JSON of a header, as long as the file's first eight bytes say. E076 when they cannot be true."""
    try:
        with open_regular(path) as file:
            return file.read(_length(path, file))
    except Unreadable as error:
        raise error.coded("E076") from None


def _length(path: Path, file: BufferedReader) -> int:
    """Bytes of a header, which begins here. E076 when there are not so many, or too many to read."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise _damaged(path, f"the header should have {length:,} bytes, the file has {size:,}")
    if length > MAX_HEADER:
        raise _too_large(path)
    return length


def header_length(path: Path) -> int:
    try:
        with open_regular(path) as file:
            return _length(path, file)
    except Unreadable as error:
        raise error.coded("E076") from None


def read_folder(folder: Path) -> dict[str, Entry]:
    """All tensors of a model folder, from one file or from shards with an index."""
    single = folder / "model.safetensors"
    if single.exists():
        return read_header(single)
    found: dict[str, Entry] = {}
    names = weight_files(folder)
    if sum(header_length(folder / name) for name in names) > MAX_HEADER:
        raise _too_large(folder / names[0])
    for name in names:
        for tensor, entry in read_header(folder / name).items():
            if tensor in found:
                why = f"`{found[tensor].file}` and `{name}` both hold `{tensor}`"
                raise _damaged(folder / INDEX, why)
            found[tensor] = entry
    places = _weight_map(folder / INDEX)
    listed = set(places)
    if odd := sorted(listed.symmetric_difference(found)):
        why = "no file holds it" if odd[0] in listed else f"`{found[odd[0]].file}` holds it"
        raise _damaged(folder / INDEX, f"it {'lists' if odd[0] in listed else 'does not list'} `{odd[0]}`, and {why}")
    for tensor, entry in found.items():
        if places[tensor] != entry.file:
            why = f"the index lists `{tensor}` in `{places[tensor]}`; `{entry.file}` holds it"
            raise _damaged(folder / INDEX, why)
    return found


def weight_files(folder: Path) -> list[str]:
    """The safetensors files that hold the weights, in a fixed order."""
    if (folder / "model.safetensors").exists():
        return ["model.safetensors"]
    index = folder / INDEX
    if index.exists():
        names = sorted(set(_weight_map(index).values()))
        for name in names:
            if "/" in name or "\\" in name or not (folder / name).is_file():
                raise _damaged(index, f"the index names `{name}`, which does not exist")
        return names
    there = sorted(p.name for p in folder.iterdir())[:12]
    if any(n.endswith((".bin", ".pt", ".pth", ".ckpt")) for n in there):
        raise fail(
            "E076",
            f"`{folder}` holds only pickled weights",
            help="save them again with `model.save_pretrained(folder)`, which writes safetensors",
            notes=["loading a pickle can run code, so pickles are refused"],
        )
    help = "name the folder that `save_pretrained` wrote"
    notes = [f"it holds {', '.join(there) or 'nothing'}"]
    raise fail("E076", f"`{folder}` holds no safetensors weights", help=help, notes=notes)


def _weight_map(index: Path) -> dict[str, str]:
    """Tensor -> the file that holds it."""
    try:
        return read_model(index, Places, MAX_HEADER).weight_map
    except Unreadable as error:
        raise _too_large(index) if error.why is Why.TOO_LARGE else error.coded("E076", name=index.name) from None


def _too_large(path: Path) -> RecipeError:
    """More names than any model has: reading them would take the memory of a small machine."""
    message = f"`{path.name}` names too many tensors"
    help = "use a model from another source"
    return fail("E076", message, help=help, notes=[f"headers have at most {limit_text(MAX_HEADER)} in all"])


def _damaged(path: Path, why: str) -> RecipeError:
    return fail(
        "E076", f"`{path.name}` is damaged", notes=[why, f"the file is {path}"], help="copy or download it again"
    )
