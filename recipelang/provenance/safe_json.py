"""JSON from a folder that somebody else made: size, kind of file, doubles and types are checked before it is believed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from recipelang.source import RecipeError, fail

#: of a statement; one of a model with a million tensors would be smaller than its plan
MAX_BYTES = 16 * 2**20


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A regular file, whole. E139 for a link or a device, E137 when it is too large."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise fail("E135", f"there is no file `{path}`") from None
    except OSError as error:
        if path.is_symlink():
            raise link(path) from None
        raise fail("E137", f"`{path.name}` cannot be read", notes=[error.strerror or str(error)]) from None
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise fail("E139", f"`{path.name}` is not a regular file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise fail("E137", f"`{path.name}` is larger than {limit // 2**20} MiB", help="this is not what a run writes")
    return data


def link(path: Path) -> RecipeError:
    help = "a link can lead anywhere, and to something else tomorrow; copy the file itself"
    return fail("E139", f"`{path.name}` is a symbolic link", help=help)


def read_object(path: Path, limit: int = MAX_BYTES) -> dict[str, Any]:
    return parse_object(read_bytes(path, limit), path.name)


def parse_object(data: bytes, name: str) -> dict[str, Any]:
    """A JSON object. E137 for what is none, nests too deeply, or says a name twice."""
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"as JSON: {str(error)[:120]}"
        raise fail("E137", f"`{name}` is damaged", notes=[why], help="copy or download it again") from None
    if not isinstance(found, dict):
        raise fail("E137", f"`{name}` is not a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice in one object")
    return found


def _no_number(text: str) -> object:
    raise ValueError(f"`{text}` is no number of JSON")
