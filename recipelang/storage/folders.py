"""Folders held open, so that a path below one cannot be led elsewhere by a link."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: whether the system opens, renames and removes relative to an open folder (Linux and macOS do)
HAS_FOLDERS = {os.open, os.mkdir, os.unlink, os.rename} <= os.supports_dir_fd and hasattr(os, "O_DIRECTORY")


class IsALink(OSError):
    """A component below a folder that may have come from elsewhere is a symbolic link."""


@contextmanager
def opened_folder(root: Path, relative: Path = Path(), *, make: bool = False) -> Iterator[int]:
    """The folder `root / relative`, open, through no link below `root`; `make` makes what is missing.

    `OSError` when there is none, `IsALink` for a link. Without `HAS_FOLDERS` the number is -1, and the components
    are only looked at by name.
    """
    if ".." in relative.parts or relative.is_absolute():
        raise OSError(errno.EINVAL, "the path leads outside its folder")
    if make:
        root.mkdir(parents=True, exist_ok=True)
    if not HAS_FOLDERS:
        _by_name(root, relative, make)
        yield -1
        return
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in relative.parts:
            inner = _entered(handle, part, make)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def _entered(folder: int, name: str, make: bool) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
        os.mkdir(name, dir_fd=folder)
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK) and is_link(name, folder):
            raise IsALink(errno.ELOOP, f"`{name}` is a symbolic link") from None
        raise


def is_link(name: str, folder: int) -> bool:
    try:
        os.readlink(name, dir_fd=folder)
    except OSError:
        return False
    return True


def _by_name(root: Path, relative: Path, make: bool) -> None:
    at = root
    for part in relative.parts:
        at /= part
        if at.is_symlink():
            raise IsALink(errno.ELOOP, f"`{part}` is a symbolic link")
        if make:
            at.mkdir(exist_ok=True)
