"""Reading files of a folder that somebody else made: regular ones, of a limited size, through no link."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class Irregular(OSError):
    """A link, a folder, a pipe, a device: not what a folder of ours holds in this place."""


def read_regular(path: Path, limit: int) -> bytes:
    """At most one byte more than `limit`, which tells a longer file. `Irregular`, or the `OSError` of the system."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        if path.is_symlink():
            raise Irregular from None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # before Python wraps it, which refuses a folder by itself
        os.close(handle)
        raise Irregular
    with open(handle, "rb") as file:
        return file.read(limit + 1)
