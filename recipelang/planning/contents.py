"""The digest of local data: of a file that of its bytes, of shards one of their names and digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

from recipelang.planning.remembered import file_digest
from recipelang.tasks.shards import files, is_several


def data_digest(path: Path, *, anew: bool = False) -> str:
    """`anew` reads every file, whatever is remembered of it. `OSError` for what cannot be read; E074, E210 to E212."""
    if not is_several(path):
        return f"sha256:{file_digest(path, anew=anew)}"
    total = hashlib.sha256(b"shards\0")
    for file in files(path):
        total.update(f"{file.name}\0{file_digest(file, anew=anew)}\n".encode("utf-8", "surrogateescape"))
    return f"sha256:{total.hexdigest()}"
