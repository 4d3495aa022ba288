"""The cache folder, and what is remembered there: digests of large files, and sizes that were counted once.

A note holds its own key and a checksum, so that one that is damaged, or lies under another name, is computed again.
What was remembered of a file is believed only while nothing that the system knows of the file has changed, its
time of change included, which no program can set back.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from recipelang.source import RecipeError
from recipelang.storage.forms import Form, Hex
from recipelang.storage.reading import Unreadable, Why, open_regular, read_model
from recipelang.storage.writing import make_folder, remove, write_json

T = TypeVar("T")
_DIGEST = TypeAdapter(Hex)

#: bytes of a note: the names of a large model's tensors are the longest thing that is remembered
_LONGEST = 2**24
#: smaller files are read again each time
_LARGE = 1_000_000
#: a file that changed so short a time ago may change once more within one tick of the file system's clock
_SETTLED_NS = 2 * 10**9


def cache_folder() -> Path:
    chosen = os.environ.get("RECIPELANG_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "recipelang"


class Note(Form):
    key: Hex
    value: Any
    sha256: Hex


def remembered(kind: str, parts: Sequence[object], form: TypeAdapter[T], compute: Callable[[], T]) -> T:
    """What was computed once of all `parts` that decide it, or what is computed now.

    `kind` names a folder of notes; what a note says is believed only when it is of the form.
    """
    found = recalled(kind, parts, form)
    if found is not None:
        return found
    value = compute()
    note(kind, parts, form.dump_python(value, mode="json"))
    return value


def recalled(kind: str, parts: Sequence[object], form: TypeAdapter[T]) -> T | None:
    """What a note says, or None where there is none that is sound."""
    path = note_of(kind, parts)
    with suppress(Unreadable, ValidationError):
        found = read_model(path, Note, _LONGEST, inside=path.parent)
        if found.key == path.name and found.sha256 == _checksum(path.name, found.value):
            return form.validate_json(json.dumps(found.value), strict=True)
    return None


def note(kind: str, parts: Sequence[object], value: object) -> None:
    path = note_of(kind, parts)
    with suppress(OSError, RecipeError):  # a cache that cannot be written only costs time
        make_folder(path.parent)
        body = {"key": path.name, "value": value, "sha256": _checksum(path.name, value)}
        write_json(path, body, inside=path.parent)


def note_of(kind: str, parts: Sequence[object]) -> Path:
    """Where the note lies: its name is the key."""
    return cache_folder() / kind / hashlib.sha256(repr(list(parts)).encode("utf-8", "surrogatepass")).hexdigest()


def trim(newest: Path, most: int) -> None:
    """Of the files like `newest`, each with its note, the first ones written go where all take more than `most` bytes.

    A run that has one of them open keeps it.
    """
    others = newest.parent.glob(f"*{newest.suffix}")
    each = sorted((f.stat().st_mtime_ns, f.stat().st_size, f) for f in others if f != newest)
    total = newest.stat().st_size + sum(size for _, size, _ in each)
    for _, size, file in each:
        if total <= most:
            return
        remove(file, inside=newest.parent)
        remove(file.with_suffix(""), inside=newest.parent)
        total -= size


def _checksum(key: str, value: object) -> str:
    return hashlib.sha256(f"{key}\0{json.dumps(value, sort_keys=True)}".encode()).hexdigest()


def file_digest(path: Path, *, anew: bool = False) -> str:
    """sha256 of a regular file; of a large one it is remembered, and `anew` reads it whatever is remembered.

    `OSError` for what cannot be read.
    """
    try:
        with open_regular(path) as file:
            return digest_of(path, file, anew)
    except Unreadable as error:
        number = errno.ENOENT if error.why is Why.MISSING else errno.EINVAL
        raise OSError(number, error.reason or error.why.value, str(path)) from None  # of ENOENT a FileNotFoundError


def digest_of(path: Path, file: BufferedReader, anew: bool = False) -> str:
    """As `file_digest`, of a file that is open."""
    before = os.fstat(file.fileno())

    def read() -> str:
        return hashlib.file_digest(file, "sha256").hexdigest()

    settled = time.time_ns() - max(before.st_ctime_ns, before.st_mtime_ns) > _SETTLED_NS
    if anew or before.st_size <= _LARGE or not settled:
        return read()
    known = (before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns)
    return remembered("digests", [os.path.realpath(path), *known], _DIGEST, read)
