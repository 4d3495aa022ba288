"""The digest of local data: of a file that of its bytes, of shards one of their names and digests; of a stream, which
nobody can read as a whole, one of names and sizes and of how it begins."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from recipelang.planning.remembered import file_digest
from recipelang.storage.reading import Unreadable, open_regular
from recipelang.tasks.shards import files, is_several

if TYPE_CHECKING:
    from recipelang.planning.data_plan import SplitPlan

#: bytes of a stream's first file; a plan reads about as much, and what it has not refused can be mended in place
_BEGINNING = 2**16


def data_digest(path: Path, *, anew: bool = False) -> str:
    """`anew` reads every file, whatever is remembered of it. `OSError` for what cannot be read; E074, E210 to E212."""
    if not is_several(path):
        return f"sha256:{file_digest(path, anew=anew)}"
    total = hashlib.sha256(b"shards\0")
    for file in files(path):
        total.update(f"{file.name}\0{file_digest(file, anew=anew)}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{total.hexdigest()}"


def stream_digest(path: Path) -> str:
    """Names and sizes of all files, and the first 64 KiB of the first. Raises what `data_digest` does."""
    there = files(path)
    total = hashlib.sha256(b"stream\0")
    for file in there:
        total.update(f"{file.name}\0{file.stat().st_size}\n".encode("utf-8", "surrogateescape"))
    try:
        with open_regular(there[0]) as first:
            total.update(first.read(_BEGINNING))
    except Unreadable as error:
        raise OSError(errno.EINVAL, error.reason or error.why.value, str(there[0])) from None
    return f"sha256:{total.hexdigest()}"


def split_digest(split: SplitPlan) -> str:
    """Of what a split's path names now."""
    path = Path(split.reference)
    return data_digest(path) if split.stream is None else stream_digest(path)
