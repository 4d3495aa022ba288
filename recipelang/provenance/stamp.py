"""What a weight file says of itself: the strings in its header. No weights are read."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from recipelang.planning.safetensors_header import header_text, read_header
from recipelang.provenance.safe_json import link
from recipelang.source import fail
from recipelang.source.words import limit_text
from recipelang.storage.forms import OpenForm
from recipelang.storage.strict_json import parse_model

#: of all strings together
MAX_METADATA = 2**20


class Stamped(OpenForm):
    """A header, by its metadata."""

    metadata: dict[str, str] = Field(default={}, alias="__metadata__")


def read_stamp(path: Path) -> dict[str, str]:
    """`__metadata__` of a safetensors file. E076 when the file is not whole, E137 when its strings are none."""
    if path.is_symlink():
        raise link(path)
    try:
        found = parse_model(header_text(path), Stamped).metadata
    except ValueError as error:
        read_header(path)  # a file that is damaged altogether is told of as such
        raise fail("E137", f"the metadata of `{path.name}` cannot be used", notes=[str(error)]) from None
    read_header(path)
    if sum(len(k) + len(v) for k, v in found.items()) > MAX_METADATA:
        raise fail("E137", f"the metadata of `{path.name}` are larger than {limit_text(MAX_METADATA)}")
    return found


def recipe_stamp(path: Path) -> dict[str, str]:
    """The same with only what a recipe left, without the prefix."""
    return {n.removeprefix("recipe."): v for n, v in read_stamp(path).items() if n.startswith("recipe.")}
