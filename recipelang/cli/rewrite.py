"""A file of the user's written anew: whole or not at all, through a link to the file itself, with its rights."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from recipelang.engine.files import writing


def rewrite(path: Path, text: str) -> None:
    """Raises E084, and leaves the file as it was, when it cannot be written."""
    with writing(path, elsewhere="copy it to another folder"):
        path = path.resolve()
        if not path.is_file():
            raise OSError(errno.EINVAL, "not a regular file")
        if not os.access(path, os.W_OK):  # a rename would not ask
            raise PermissionError(errno.EACCES, "read-only")
        _replace(path, text.encode("utf-8"))


def _replace(path: Path, data: bytes) -> None:
    """The new file can be read by nobody else before it has the rights of the old one."""
    before = path.stat()
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):  # a file of somebody else's becomes ours, as it does in an editor
            os.chown(part, before.st_uid, before.st_gid)
        os.chmod(part, before.st_mode & 0o7777)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
