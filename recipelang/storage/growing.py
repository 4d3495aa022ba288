"""Arrays that grow: what does not fit into a little memory goes to a file without a name, and is mapped from there.

Such a file lies in the system's folder for temporary files (`TMPDIR`) and is gone with the process. Where none can be
written, because the disk is full, the rest stays in memory.
"""

from __future__ import annotations

import mmap
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import IO, Any

import numpy as np

from recipelang.storage.pages import write_all

#: bytes of one array that are held in memory
MOST = 8 * 2**20
_CODES = {"int8": "b", "int32": "i", "int64": "q", "float32": "f"}


def release(arrays: Iterable[np.ndarray]) -> None:
    """Pages of mapped files that were read count as memory of this process until they are given back; reading them again
    takes them from where the system has them."""
    for each in arrays:
        at: Any = each
        while at is not None and not isinstance(at, mmap.mmap):
            at = getattr(at, "base", None) if isinstance(at, np.ndarray) else getattr(at, "obj", None)
        if at is not None and hasattr(mmap, "MADV_DONTNEED"):
            at.madvise(mmap.MADV_DONTNEED)


class Growing:
    """Values of one type, one behind the other."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0
        self._held = array(_CODES[self.dtype.name])
        self._file: IO[bytes] | None = None
        self._good = 0  # bytes of the file
        self._full = False

    def add(self, values: np.ndarray | Sequence[Any]) -> None:
        before = len(self._held)
        if isinstance(values, np.ndarray):
            self._held.frombytes(np.ascontiguousarray(values, self.dtype).tobytes())
        else:
            self._held.extend(values)
        self._added(len(self._held) - before)

    def one(self, value: Any) -> None:
        self._held.append(value)
        self._added(1)

    def array(self) -> np.ndarray:
        """All values, to be read only. Nothing is added afterwards."""
        if self._good and self._held and not self._full:
            self._spill()
        held = np.frombuffer(self._held, self.dtype)
        if self._file is None or not self._good:
            return held
        mapped = np.frombuffer(mmap.mmap(self._file.fileno(), self._good, access=mmap.ACCESS_READ), self.dtype)
        return np.concatenate([mapped, held]) if len(held) else mapped

    def _added(self, count: int) -> None:
        self.size += count
        if len(self._held) * self.dtype.itemsize > MOST and not self._full:
            self._spill()

    def _spill(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            write_all(self._file, memoryview(self._held).cast("B"))
        except OSError:
            self._full = True  # a part that was written lies behind what is good
        else:
            self._good += len(self._held) * self.dtype.itemsize
            self._held = array(self._held.typecode)

    def __del__(self) -> None:
        with suppress(Exception):
            if self._file is not None:
                self._file.close()
