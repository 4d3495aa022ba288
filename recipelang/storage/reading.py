"""Files from elsewhere: regular ones, of a limited size, through no link where a folder is not the user's own.

Text, records and configs are read whole, under a cap. Data and weights may have any size: `open_regular` gives a
stream of a regular file, and its reader checks what comes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from enum import Enum
from io import BufferedReader
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from recipelang.source import RecipeError, fail
from recipelang.source.names import impossible
from recipelang.source.words import limit_text
from recipelang.storage.folders import HAS_FOLDERS, IsALink, opened_folder
from recipelang.storage.strict_json import parse_json, parse_model

if TYPE_CHECKING:
    from pydantic import BaseModel

#: of a record that a run writes; the plan of a million tensors is larger, and says so where it is read
MAX_RECORD = 16 * 2**20
#: values of one JSON text, which take about a hundred bytes each
MAX_VALUES = 2_000_000
#: bytes of a file that are mapped at once
_MAPPED = 2**23

M = TypeVar("M", bound="BaseModel")
T = TypeVar("T")


class Why(Enum):
    MISSING = "missing"
    FOLDER = "a folder"
    LINK = "a symbolic link"
    IRREGULAR = "not a regular file"
    TOO_LARGE = "too large"
    REFUSED = "refused by the system"
    DAMAGED = "damaged"


class Unreadable(Exception):
    """A file that was not read, and why. `coded` makes a finding of it, in words that serve every kind of file."""

    def __init__(self, path: Path, why: Why, reason: str = "") -> None:
        super().__init__(f"{path}: {reason or why.value}")
        self.path = path
        self.why = why
        self.reason = reason

    def coded(self, code: str, *, name: str | None = None, help: str = "") -> RecipeError:
        shown = name or str(self.path)
        notes = [self.reason] if self.reason else []
        match self.why:
            case Why.MISSING:
                return fail(code, f"there is no file `{shown}`", help=help)
            case Why.LINK:
                other = "copy the file itself: a link can point anywhere, and its target can change"
                return fail(code, f"`{shown}` is a symbolic link", help=other)
            case Why.TOO_LARGE:
                return fail(code, f"`{shown}` is {self.reason}", help=help)
            case Why.REFUSED:
                return fail(code, f"`{shown}` cannot be read", notes=notes, help=help)
            case Why.DAMAGED:
                return fail(code, f"`{shown}` is damaged", notes=notes, help=help or "copy or download it again")
        return fail(code, f"`{shown}` is {self.why.value}", help=help)


def open_regular(path: Path, *, inside: Path | None = None) -> BufferedReader:
    """A regular file, open for reading; `Unreadable` for anything else, without waiting for a pipe.

    `inside` names a folder that may have come from elsewhere: no component of `path` below it may be a link.
    Without it, links are followed to the file that they name.
    """
    try:
        handle = _opened(path, inside)
    except OSError as error:
        raise _refused(path, error) from None
    mode = os.fstat(handle).st_mode  # before Python wraps it, which refuses a folder by itself
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise Unreadable(path, Why.FOLDER if stat.S_ISDIR(mode) else Why.IRREGULAR)
    return open(handle, "rb")


def _opened(path: Path, inside: Path | None) -> int:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if why := impossible(str(path)):  # Python says so with a `ValueError`
        raise Unreadable(path, Why.REFUSED, why)
    if inside is None:
        return os.open(path, flags)
    flags |= getattr(os, "O_NOFOLLOW", 0)
    relative = path.relative_to(inside)
    with opened_folder(inside, relative.parent) as folder:
        if HAS_FOLDERS:
            return os.open(relative.name, flags, dir_fd=folder)
        if path.is_symlink():
            raise IsALink(path)
        return os.open(path, flags)


def _refused(path: Path, error: OSError) -> Unreadable:
    if isinstance(error, FileNotFoundError):
        return Unreadable(path, Why.MISSING)
    if isinstance(error, IsADirectoryError):
        return Unreadable(path, Why.FOLDER)
    if isinstance(error, IsALink) or _is_link(path):
        return Unreadable(path, Why.LINK)
    return Unreadable(path, Why.REFUSED, (error.strerror or str(error)).lower())


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:
        return False


def read_bytes(path: Path, limit: int, *, inside: Path | None = None) -> bytes:
    """A regular file of at most `limit` bytes, whole; `inside` as for `open_regular`."""
    with open_regular(path, inside=inside) as file:
        if os.fstat(file.fileno()).st_size > limit:  # a sparse file of gigabytes is refused unread
            raise Unreadable(path, Why.TOO_LARGE, f"larger than {limit_text(limit)}")
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise _refused(path, error) from None
    if len(data) > limit:  # it grew, or its system does not know sizes (as below /proc)
        raise Unreadable(path, Why.TOO_LARGE, f"larger than {limit_text(limit)}")
    return data


def check_regular(path: Path, *, inside: Path | None = None) -> None:
    """`Unreadable` for what `open_regular` refuses; for files that a library opens by name right after."""
    open_regular(path, inside=inside).close()


def read_text(path: Path, limit: int, *, inside: Path | None = None) -> str:
    data = read_bytes(path, limit, inside=inside)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable(path, Why.DAMAGED, "it is not UTF-8") from None


def read_json(path: Path, limit: int = MAX_RECORD, *, inside: Path | None = None) -> Any:
    """Strict JSON: no key twice, no NaN, of limited depth."""
    return _parsed(path, limit, inside, parse_json)


def read_object(path: Path, limit: int = MAX_RECORD, *, inside: Path | None = None) -> dict[str, Any]:
    found = read_json(path, limit, inside=inside)
    if not isinstance(found, dict):
        raise Unreadable(path, Why.DAMAGED, "it is not a JSON object")
    return found


def read_model(path: Path, model: type[M], limit: int = MAX_RECORD, *, inside: Path | None = None) -> M:
    """Strict JSON as a pydantic model; the reason names the first field that does not fit."""
    return _parsed(path, limit, inside, lambda data: parse_model(data, model))


def _parsed(path: Path, limit: int, inside: Path | None, parse: Callable[[bytes], T]) -> T:
    data = read_bytes(path, limit, inside=inside)
    if sum(data.count(sign) for sign in (b",", b"[", b"{")) > MAX_VALUES:  # empty lists take 30 times their text
        raise Unreadable(path, Why.DAMAGED, f"it holds more than {MAX_VALUES:,} values")
    try:
        return parse(data)
    except ValueError as error:
        raise Unreadable(path, Why.DAMAGED, str(error)[:240]) from None


def sha256(path: Path, *, inside: Path | None = None) -> str:
    """Hexadecimal digest of what a regular file holds now: nothing is remembered."""
    with open_regular(path, inside=inside) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mapped_sha256(path: Path, *, inside: Path | None = None) -> str:
    """As `sha256`, without copying what it reads: a tenth faster. For a run's own files, which are mapped to be read
    anyway: a mapped file that is cut meanwhile ends the process.

    A part at a time: pages that were read count as memory of the process until they are unmapped.
    """
    digest = hashlib.sha256()
    with open_regular(path, inside=inside) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            for start in range(0, size, _MAPPED):
                with mmap(file.fileno(), min(_MAPPED, size - start), access=ACCESS_READ, offset=start) as part:
                    digest.update(part)
        except (OSError, ValueError):  # a file system that maps nothing
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    return digest.hexdigest()
