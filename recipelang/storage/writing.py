"""Writing so that nothing is ever half there, and nothing outside is touched: temporary name, fsync, rename.

Temporary names are drawn at random and made exclusively, so that no link can wait under one. `inside` names the
folder that is written to, which may have come from elsewhere: no component below it may be a link, and renames and
removals happen relative to the open folder. E084 when something cannot be written.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from recipelang.source import RecipeError, fail
from recipelang.storage.folders import HAS_FOLDERS, IsALink, opened_folder

_ELSEWHERE = "choose another folder with `-o`"
_ROOM = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise the limit (shown by `ulimit -f`)",
    errno.EMFILE: "raise the limit (shown by `ulimit -n`)",
}
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "the file would exceed the file size limit",
    errno.EMFILE: "too many files are open",
    errno.ENOTDIR: "a part of the path is a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "a part of the path is a symbolic link",
}
#: what `_part` gives
_PART = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def writing(path: Path, elsewhere: str = _ELSEWHERE, *, doing: str = "write") -> Iterator[None]:
    """Turn a failed write into E084, or a failed removal; libraries that wrap the system's error are looked through."""
    try:
        yield
    except RecipeError:
        raise
    except Exception as error:
        number = _number(error)
        if number is None:
            raise
        reason = _REASONS.get(number) or os.strerror(number).lower()
        help = ", or ".join(filter(None, (_ROOM.get(number), elsewhere)))
        untouched = ["the earlier file is unchanged"] if doing == "write" else []
        raise fail(
            "E084",
            f"cannot {doing} `{path.name[:60]}{'…' * (len(path.name) > 60)}`: {reason}",
            notes=[f"the folder is {path.parent}", *untouched],
            help=help,
        ) from None


def _number(error: BaseException) -> int | None:
    """The system's own number of an error, also from libraries that wrap it in a text."""
    if isinstance(error, OSError):
        return error.errno or errno.EIO
    text = str(error)
    return next((n for n in _REASONS if f"(os error {n})" in text or os.strerror(n) in text), None)


# ------------------------------------------------------------------------ whole files
def write_bytes(path: Path, data: bytes, *, inside: Path | None = None, elsewhere: str = _ELSEWHERE) -> None:
    """A file that appears whole or not at all, in place of one of the same name. Folders below `inside` are made."""
    with writing(path, elsewhere), _parent(path, inside, make=inside is not None) as folder:
        part = _part(path)
        try:
            with _made(part, folder) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _rename(part, path, folder)
        except BaseException:
            _drop(part, folder)
            raise


def write_text(path: Path, text: str, *, inside: Path | None = None) -> None:
    write_bytes(path, text.encode("utf-8"), inside=inside)


def write_json(path: Path, value: object, *, inside: Path | None = None) -> None:
    write_text(path, json_text(value), inside=inside)


def json_text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


@contextmanager
def new_file(path: Path, elsewhere: str = _ELSEWHERE, *, inside: Path | None = None) -> Iterator[Path]:
    """As `write_bytes`, for a library that writes to a path: that of the temporary file."""
    with writing(path, elsewhere), _parent(path, inside) as folder:
        part = _part(path)
        try:
            yield part
            sync(part)
            _rename(part, path, folder)
        except BaseException:
            _drop(part, folder)
            raise


@contextmanager
def new_folder(path: Path, elsewhere: str = _ELSEWHERE, *, inside: Path | None = None) -> Iterator[Path]:
    """A folder that appears whole or not at all; one of the same name is replaced at the end."""
    with writing(path, elsewhere), _parent(path, inside) as folder:
        part = _part(path)
        try:
            _mkdir(part, folder)
            yield part
            for file in part.rglob("*"):
                if file.is_file():
                    sync(file)
            sync(part)
            _take_place(part, path, folder)
        except BaseException:
            with suppress(OSError):
                _rmtree(part, folder)
            raise


def fill(part: Path, files: Mapping[str, bytes]) -> None:
    """Files of a folder that is being made, by their names below it; `OSError` is for `new_folder` to tell of."""
    for name, data in files.items():
        path = part / name
        with _parent(path, part) as folder, _made(path, folder) as file:
            file.write(data)


def write_pieces(path: Path, pieces: Iterable[bytes | memoryview], *, inside: Path) -> None:
    """A file of a folder that is being made, one piece in memory at a time; `OSError` is for `new_folder` to tell of."""
    with _parent(path, inside) as folder, _made(path, folder) as file:
        for piece in pieces:
            file.write(piece)


def rewrite(path: Path, text: str) -> None:
    """A file of the user's written anew: through a link to the file itself, with its rights. E084, and the file
    is as it was, when it cannot be written.
    """
    with writing(path, elsewhere="copy it to another folder"):
        path = path.resolve()
        if not path.is_file():
            raise OSError(errno.EINVAL, "not a regular file")
        if not os.access(path, os.W_OK):  # a rename would not ask
            raise PermissionError(errno.EACCES, "read-only")
        before = path.stat()
        with _parent(path, None) as folder:
            part = _part(path)
            try:
                with _made(part, folder, mode=0o600) as file:  # nobody else reads it before it has the old rights
                    file.write(text.encode("utf-8"))
                    file.flush()
                    with suppress(OSError, AttributeError):  # somebody else's file becomes ours, as in an editor
                        os.fchown(file.fileno(), before.st_uid, before.st_gid)
                    os.chmod(file.fileno() if os.chmod in os.supports_fd else part, before.st_mode & 0o7777)
                    os.fsync(file.fileno())
                _rename(part, path, folder)
            except BaseException:
                _drop(part, folder)
                raise


def open_to_append(path: Path, *, inside: Path | None = None, anew: bool = False) -> BinaryIO:
    """A file that grows while something runs: a log. Through no link, whether or not it is there; `anew` empties it."""
    with _parent(path, inside) as folder:
        if anew:
            _drop(path, folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        flags |= getattr(os, "O_BINARY", 0)
        handle = os.open(path.name, flags, 0o666, dir_fd=folder) if folder >= 0 else os.open(path, flags, 0o666)
    if not _is_regular(handle):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(handle, "ab")


def scratch_file(folder: Path) -> BinaryIO:
    """A file without a name, for what does not fit in memory: gone when it is closed, whatever happens."""
    with writing(folder):
        return tempfile.TemporaryFile(dir=folder)  # type: ignore[return-value]


# --------------------------------------------------------------------------- folders
def make_folder(path: Path, *, inside: Path | None = None, elsewhere: str = _ELSEWHERE) -> None:
    """Make a folder and those above it, through no link below `inside`."""
    with writing(path, elsewhere):
        if inside is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        with opened_folder(inside, path.relative_to(inside), make=True):
            pass


def remove(path: Path, *, inside: Path) -> None:
    """Remove one file or link below a folder, if it is there; of a link the link, never what it leads to."""
    with writing(path, doing="remove"), suppress(FileNotFoundError), _parent(path, inside, make=False) as folder:
        _unlink(path, folder)


def remove_folder(path: Path, *, inside: Path) -> None:
    """Remove a folder below another with all that it holds, if it is there. A link in its place is not followed: E084."""
    with writing(path, doing="remove"), suppress(FileNotFoundError), _parent(path, inside, make=False) as folder:
        _rmtree(path, folder)


def remove_empty_folders(folder: Path) -> None:
    """Remove the folders below one that hold nothing but empty folders; links are not entered."""
    for below, _, _ in sorted(os.walk(folder), reverse=True):
        if below != str(folder):
            with suppress(OSError), _parent(Path(below), folder, make=False) as parent:
                os.rmdir(Path(below).name, dir_fd=parent) if parent >= 0 else os.rmdir(below)


def is_part(name: str) -> bool:
    """Whether a name is one of ours for a file or folder that is being written."""
    return _PART.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove what a process that was killed had begun to write in a folder: temporary names of ours, no links."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if is_part(path.name) and not path.is_symlink():
            with suppress(RecipeError):
                remove_folder(path, inside=folder) if path.is_dir() else remove(path, inside=folder)


# ------------------------------------------------------- relative to an open folder
@contextmanager
def _parent(path: Path, inside: Path | None, *, make: bool = True) -> Iterator[int]:
    """The folder of `path`, open: through no link below `inside`, or wherever its name leads."""
    root, below = (path.parent, Path()) if inside is None else (inside, path.relative_to(inside).parent)
    with opened_folder(root, below, make=make) as folder:
        yield folder


def _part(path: Path) -> Path:
    """A name that nobody can have put a link under."""
    return path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.tmp")


def _made(part: Path, folder: int, mode: int = 0o666) -> BinaryIO:
    handle = os.open(part.name, _NEW, mode, dir_fd=folder) if folder >= 0 else os.open(part, _NEW, mode)
    return os.fdopen(handle, "wb")


def _rename(part: Path, path: Path, folder: int) -> None:
    if folder < 0:
        part.replace(path)
        return
    os.replace(part.name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def _unlink(path: Path, folder: int) -> None:
    os.unlink(path.name, dir_fd=folder) if folder >= 0 else os.unlink(path)


def _take_place(part: Path, path: Path, folder: int) -> None:
    """A folder cannot be renamed over another: the old one steps aside until the new one is there."""
    if not os.path.lexists(path):
        _rename(part, path, folder)
        return
    old = _part(path)
    _rename(path, old, folder)
    try:
        _rename(part, path, folder)
    except BaseException:
        _rename(old, path, folder)
        raise
    _rmtree(old, folder)


def _drop(part: Path, folder: int) -> None:
    """What was begun, on the way out of a failure, which must not hide that failure."""
    with suppress(OSError):
        _unlink(part, folder)


def _mkdir(path: Path, folder: int) -> None:
    os.mkdir(path.name, dir_fd=folder) if folder >= 0 else os.mkdir(path)


def _rmtree(path: Path, folder: int) -> None:
    if path.is_symlink():
        raise IsALink(errno.ELOOP, f"`{path.name}` is a symbolic link")
    if os.path.lexists(path) and not path.is_dir():
        _unlink(path, folder)
    elif HAS_FOLDERS:
        shutil.rmtree(path.name, dir_fd=folder)
    else:
        shutil.rmtree(path)


def _is_regular(handle: int) -> bool:
    import stat

    return stat.S_ISREG(os.fstat(handle).st_mode)


def sync(path: Path) -> None:
    """Until what was written is on the disk; `OSError` is for `writing` or `new_folder` to tell of."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
