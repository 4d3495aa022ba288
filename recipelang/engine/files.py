"""Writing so that nothing is ever half there: temporary name, fsync, rename. E084 when it cannot be done."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recipelang.source import RecipeError, fail

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EFBIG: "the file would be larger than is allowed here",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failed write into E084; libraries that wrap the system's error are looked through."""
    try:
        yield
    except RecipeError:
        raise
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise fail(
            "E084",
            f"cannot write `{path.name}`: {reason}",
            notes=[f"the place is {path.parent}", "what was there before is untouched"],
            help=("free some space, or " if _is_full(reason) else "") + "choose another folder with `-o`",
        ) from None


def _is_full(reason: str) -> bool:
    return reason in (_REASONS[errno.ENOSPC], _REASONS[errno.EDQUOT])


def _reason(error: BaseException) -> str | None:
    number = getattr(error, "errno", None)
    if isinstance(error, OSError):
        return _REASONS.get(number or 0, error.strerror or str(error))
    text = str(error)
    for code, reason in _REASONS.items():
        if os.strerror(code) in text or f"os error {code}" in text:
            return reason
    return None


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
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that appears whole or not at all; one of the same name is replaced at the end."""
    part = path.with_name(f".{path.name}.tmp")
    with writing(path):
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
