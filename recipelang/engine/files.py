"""One process of ours in a folder at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]

from recipelang.source import fail
from recipelang.storage.writing import writing


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
