"""JSON from a folder that somebody else made: size, kind of file, doubles and types are checked before it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recipelang.source import RecipeError, fail
from recipelang.storage import reading
from recipelang.storage.reading import Unreadable, Why
from recipelang.storage.strict_json import parse_json

#: of a statement; one of a model with a million tensors would be smaller than its plan
MAX_BYTES = reading.MAX_RECORD


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A regular file, whole. E139 for a link or a device, E137 when it is too large."""
    try:
        return reading.read_bytes(path, limit, inside=path.parent)
    except Unreadable as error:
        raise _coded(error) from None


def _coded(error: Unreadable) -> RecipeError:
    name = error.path.name
    match error.why:
        case Why.MISSING:
            return error.coded("E135")
        case Why.LINK:
            return link(error.path)
        case Why.FOLDER | Why.IRREGULAR:
            return fail("E139", f"`{name}` is not a regular file")
        case Why.TOO_LARGE:
            return error.coded("E137", name=name, help="a run does not write this")
    return error.coded("E137", name=name)


def link(path: Path) -> RecipeError:
    return Unreadable(path, Why.LINK).coded("E139", name=path.name)


def read_object(path: Path, limit: int = MAX_BYTES) -> dict[str, Any]:
    return parse_object(read_bytes(path, limit), path.name)


def parse_object(data: bytes, name: str) -> dict[str, Any]:
    """A JSON object. E137 for what is none, nests too deeply, or says a name twice."""
    try:
        found = parse_json(data)
    except ValueError as error:
        raise Unreadable(Path(name), Why.DAMAGED, str(error)[:120]).coded("E137") from None
    if not isinstance(found, dict):
        raise fail("E137", f"`{name}` is not a JSON object")
    return found
