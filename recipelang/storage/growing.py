"""Arrays that grow: what does not fit into a little memory goes to a file without a name, and is mapped from there.

Such a file lies in the system's folder for temporary files (`TMPDIR`) and is gone with the process. Where none can be
written, because the disk is full, the rest stays in memory.
"""

from __future__ import annotations

import mmap
import tempfile
from contextlib import suppress
from typing import IO, Any

import numpy as np

#: bytes of one array that are held in memory
MOST = 8 * 2**20


class Growing:
    """Values of one type, one behind the other."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0
        self._parts: list[np.ndarray] = []
        self._held = 0
        self._file: IO[bytes] | None = None
        self._good = 0  # bytes of the file
        self._full = False

    def add(self, values: Any) -> None:
        part = np.asarray(values, self.dtype).reshape(-1)
        self._parts.append(part)
        self.size += part.size
        self._held += part.nbytes
        if self._held > MOST and not self._full:
            self._spill()

    def array(self) -> np.ndarray:
        """All values; of a file a read-only view of it. Nothing is added afterwards."""
        if self._good and self._parts and not self._full:
            self._spill()
        mapped = []
        if self._file is not None and self._good:
            whole = mmap.mmap(self._file.fileno(), self._good, access=mmap.ACCESS_READ)
            mapped = [np.frombuffer(whole, self.dtype)]
        if mapped and not self._parts:
            return mapped[0]
        return np.concatenate([np.empty(0, self.dtype), *mapped, *self._parts])

    def _spill(self) -> None:
        data = np.concatenate(self._parts)
        self._parts = [data]
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            view = memoryview(data.data).cast("B")
            while len(view):
                view = view[self._file.write(view) :]
        except OSError:
            self._full = True  # a part of the data that was written lies behind what is good
        else:
            self._parts, self._held, self._good = [], 0, self._good + data.nbytes

    def __del__(self) -> None:
        with suppress(Exception):
            if self._file is not None:
                self._file.close()
