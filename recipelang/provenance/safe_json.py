"""JSON from a folder that somebody else made: size, kind of file, doubles and types are checked before it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recipelang.artifact.regular_file import Irregular, read_regular
from recipelang.artifact.strict_json import read_json
from recipelang.source import RecipeError, fail

#: of a statement; one of a model with a million tensors would be smaller than its plan
MAX_BYTES = 16 * 2**20


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A regular file, whole. E139 for a link or a device, E137 when it is too large."""
    try:
        data = read_regular(path, limit)
    except FileNotFoundError:
        raise fail("E135", f"there is no file `{path}`") from None
    except Irregular:
        raise link(path) if path.is_symlink() else fail("E139", f"`{path.name}` is not a regular file") from None
    except OSError as error:
        raise fail("E137", f"`{path.name}` cannot be read", notes=[error.strerror or str(error)]) from None
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
        found = read_json(data, len(data))
    except (ValueError, RecursionError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"as JSON: {str(error)[:120]}"
        raise fail("E137", f"`{name}` is damaged", notes=[why], help="copy or download it again") from None
    if not isinstance(found, dict):
        raise fail("E137", f"`{name}` is not a JSON object")
    return found
