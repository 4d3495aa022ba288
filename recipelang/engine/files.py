"""Writing so that nothing is ever half there: temporary name, fsync, rename. E084 when it cannot be done."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]

from recipelang.source import RecipeError, fail

_ELSEWHERE = "choose another folder with `-o`"
_SPACE = (errno.ENOSPC, errno.EDQUOT)
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "the file would be larger than is allowed here",
    errno.ENOTDIR: "a part of the path is a file",
    errno.ENAMETOOLONG: "the name is too long",
}


@contextmanager
def writing(path: Path, elsewhere: str = _ELSEWHERE) -> Iterator[None]:
    """Turn a failed write into E084; libraries that wrap the system's error are looked through."""
    try:
        yield
    except RecipeError:
        raise
    except Exception as error:
        number = _number(error)
        if number is None:
            raise
        reason = _REASONS.get(number) or os.strerror(number).lower()
        room = "free some space, or " if number in _SPACE else ""
        raise fail(
            "E084",
            f"cannot write `{path.name[:60]}{'…' * (len(path.name) > 60)}`: {reason}",
            notes=[f"the place is {path.parent}", "what was there before is untouched"],
            help=f"{room}{elsewhere}",
        ) from None


def _number(error: BaseException) -> int | None:
    """The system's own number of an error, also from libraries that wrap it in a text."""
    if isinstance(error, OSError):
        return error.errno or errno.EIO
    text = str(error)
    return next((n for n in _REASONS if f"(os error {n})" in text or os.strerror(n) in text), None)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Nothing else of ours runs in this folder meanwhile. E085 when something does; the system frees a dead one's lock."""
    lock = folder / ".lock"
    with writing(lock):
        handle = open(lock, "w", encoding="ascii")  # noqa: SIM115 (closed below, whatever happens)
    with handle:
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            help = "wait for it, or choose another folder with `-o`"
            raise fail("E085", f"another process runs in `{folder}`", help=help) from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Of what is there now: nothing is remembered."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    with writing(path):
        part = path.with_name(f".{path.name}.tmp")
        try:
            with open(part, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def write_json(path: Path, value: object) -> None:
    write_text(path, json_text(value))


def json_text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


@contextmanager
def new_file(path: Path, elsewhere: str = _ELSEWHERE) -> Iterator[Path]:
    """A file that appears whole or not at all, in place of one of the same name; its folder is made."""
    part = path.with_name(f".{path.name}.tmp")
    with writing(path, elsewhere):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            _sync(part)
            part.replace(path)
            _sync(path.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def new_folder(path: Path, elsewhere: str = _ELSEWHERE) -> Iterator[Path]:
    """A folder that appears whole or not at all; one of the same name is replaced at the end."""
    part = path.with_name(f".{path.name}.tmp")
    with writing(path, elsewhere):
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir(parents=True)
            yield part
            for file in part.rglob("*"):
                if file.is_file():
                    _sync(file)
            _sync(part)
            if path.exists():
                shutil.rmtree(path)
            part.replace(path)
            _sync(path.parent)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
