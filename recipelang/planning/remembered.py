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
from recipelang.storage.writing import make_folder, write_json

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
    key = hashlib.sha256(repr(list(parts)).encode("utf-8", "surrogatepass")).hexdigest()
    note = cache_folder() / kind / key
    with suppress(Unreadable, ValidationError):
        found = read_model(note, Note, _LONGEST, inside=note.parent)
        if found.key == key and found.sha256 == _checksum(key, found.value):
            return form.validate_json(json.dumps(found.value), strict=True)
    value = compute()
    _note(note, key, form.dump_python(value, mode="json"))
    return value


def _note(note: Path, key: str, value: object) -> None:
    with suppress(OSError, RecipeError):  # a cache that cannot be written only costs time
        make_folder(note.parent)
        write_json(note, {"key": key, "value": value, "sha256": _checksum(key, value)}, inside=note.parent)


def _checksum(key: str, value: object) -> str:
    return hashlib.sha256(f"{key}\0{json.dumps(value, sort_keys=True)}".encode()).hexdigest()


def file_digest(path: Path, *, anew: bool = False) -> str:
    """sha256 of a regular file; of a large one it is remembered, and `anew` reads it whatever is remembered.

    `OSError` for what cannot be read.
    """
    try:
        with open_regular(path) as file:
            return _digest_of(path, file, anew)
    except Unreadable as error:
        number = errno.ENOENT if error.why is Why.MISSING else errno.EINVAL
        raise OSError(number, error.reason or error.why.value, str(path)) from None  # of ENOENT a FileNotFoundError


def _digest_of(path: Path, file: BufferedReader, anew: bool) -> str:
    before = os.fstat(file.fileno())

    def read() -> str:
        return hashlib.file_digest(file, "sha256").hexdigest()

    settled = time.time_ns() - max(before.st_ctime_ns, before.st_mtime_ns) > _SETTLED_NS
    if anew or before.st_size <= _LARGE or not settled:
        return read()
    known = (before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns)
    return remembered("digests", [os.path.realpath(path), *known], _DIGEST, read)
