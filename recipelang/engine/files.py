"""One process of ours in a folder at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]

from recipelang.source import RecipeError, fail
from recipelang.source.names import is_text, not_utf8
from recipelang.storage.writing import writing


@contextmanager
def only_one(folder: Path, elsewhere: str = "choose another folder with `-o`") -> Iterator[None]:
    """Nothing else of ours runs in this folder meanwhile; it is made when it is missing.

    What is locked is the folder itself, so that there is no file whose removal would let a second process in. A file
    system that locks no folders (NFS) gets a file `.lock`. E085 when another process holds it; the system frees the
    lock of one that died. E194 when the folder is another one by the time the lock is held, E167 for a name that is
    no text, which libraries refuse at the end of a run.
    """
    if not is_text(str(folder.absolute())):
        raise not_utf8(str(folder.absolute()))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if fcntl is None:
        yield
        return
    with writing(folder):
        handles = [os.open(folder, os.O_RDONLY)]
    try:
        try:
            fcntl.flock(handles[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(folder, elsewhere) from None
        except OSError:
            handles.append(_lock_file(folder, elsewhere))
        if not same_folder(folder, os.fstat(handles[0])):
            raise moved(folder)
        yield
    finally:
        for handle in handles:
            os.close(handle)


def is_taken(folder: Path) -> bool:
    """Whether something of ours runs in this folder now."""
    if not folder.is_dir():
        return False
    try:
        with only_one(folder):
            return False
    except RecipeError as error:
        if error.diagnostics[0].code != "E085":
            raise
        return True


def _lock_file(folder: Path, elsewhere: str) -> int:
    path = folder / ".lock"
    with writing(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        now = os.stat(path, follow_symlinks=False)
        if (now.st_dev, now.st_ino) != (os.fstat(handle).st_dev, os.fstat(handle).st_ino):
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError):
        os.close(handle)
        raise _taken(folder, elsewhere) from None
    except OSError:
        pass  # a file system without any lock
    return handle


def _taken(folder: Path, elsewhere: str) -> RecipeError:
    return fail("E085", f"another process is using `{folder}`", help=f"wait until it ends, or {elsewhere}")


def moved(folder: Path) -> RecipeError:
    """E194: whatever was written there is not where the run thinks it is."""
    notes = ["a run writes only to the folder it started in"]
    help = "restore the folder and resume, or start again; do not move it during a run"
    return fail("E194", f"`{folder}` was removed or replaced during the run", notes=notes, help=help)


def same_folder(folder: Path, before: os.stat_result) -> bool:
    """Whether the folder of this name is the one that it was."""
    try:
        now = os.stat(folder)
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino)
