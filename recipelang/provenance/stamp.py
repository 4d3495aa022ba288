"""What a weight file says of itself: the strings in its header. No weights are read."""

from __future__ import annotations

from pathlib import Path

from recipelang.planning.safetensors_header import header_length, read_header
from recipelang.provenance.safe_json import link, parse_object
from recipelang.source import fail
from recipelang.storage.reading import open_regular

#: of all strings together
MAX_METADATA = 2**20


def read_stamp(path: Path) -> dict[str, str]:
    """`__metadata__` of a safetensors file. E076 when the file is not whole, E137 when its strings are none."""
    if path.is_symlink():
        raise link(path)
    read_header(path)
    with open_regular(path) as file:
        length = header_length(path)
        file.seek(8)
        header = parse_object(file.read(length), path.name)
    found = header.get("__metadata__", {})
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise fail("E137", f"the metadata of `{path.name}` are not strings")
    if sum(len(k) + len(v) for k, v in found.items()) > MAX_METADATA:
        raise fail("E137", f"the metadata of `{path.name}` are larger than {MAX_METADATA // 2**20} MiB")
    return found


def recipe_stamp(path: Path) -> dict[str, str]:
    """The same with only what a recipe left, without the prefix."""
    return {n.removeprefix("recipe."): v for n, v in read_stamp(path).items() if n.startswith("recipe.")}
