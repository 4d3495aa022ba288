"""Pieces of bytes that are read back one at a time. Beyond a little memory they lie in a file without a name."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import IO

#: bytes that are held in memory
MOST = 8 * 2**20


class Pages:
    def __init__(self) -> None:
        self._at: list[bytes | tuple[int, int]] = []
        self._held = 0
        self._file: IO[bytes] | None = None
        self._size = 0
        self._full = False

    def add(self, piece: bytes) -> None:
        self._at.append(piece)
        self._held += len(piece)
        if self._held > MOST and not self._full:
            self._spill()

    def __getitem__(self, number: int) -> bytes:
        at = self._at[number]
        if isinstance(at, bytes):
            return at
        assert self._file is not None
        begin, size = at
        if hasattr(os, "pread"):  # a forked process has the same place in the file
            return os.pread(self._file.fileno(), size, begin)
        self._file.seek(begin)
        return self._file.read(size)

    def _spill(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            self._file.seek(self._size)
            for number, piece in enumerate(self._at):
                if isinstance(piece, bytes):
                    write_all(self._file, memoryview(piece))
                    self._at[number] = self._size, len(piece)
                    self._size += len(piece)
        except OSError:
            self._full = True  # the piece that does not fit, and all that come, stay in memory
        self._held = 0

    def __del__(self) -> None:
        with suppress(Exception):
            if self._file is not None:
                self._file.close()


def write_all(file: IO[bytes], data: memoryview) -> None:
    """To a file without a buffer, which may take a part only."""
    while len(data):
        data = data[file.write(data) :]
