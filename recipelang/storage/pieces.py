"""Arrays that a forked process leaves for the one that forked it: in a file without a name, one piece behind the other."""

from __future__ import annotations

import json
import mmap
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from recipelang.storage.pages import write_all

_WORD = 8  # bytes of a length; arrays begin at multiples of it


class Pieces:
    """Written by one process, then read by another that has had the file open since before the first was forked."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115

    def add(self, told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """`told`: whatever JSON holds."""
        forms = {name: (str(a.dtype), a.shape) for name, a in arrays.items()}
        head = json.dumps({"told": told, "arrays": forms}).encode()
        head += b" " * (-len(head) % _WORD)
        write_all(self._file, memoryview(len(head).to_bytes(_WORD, "little") + head))
        for array in arrays.values():
            data = memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))  # type: ignore[arg-type]
            write_all(self._file, data)
            write_all(self._file, memoryview(bytes(-len(data) % _WORD)))

    def __iter__(self) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
        """What was told of each piece, and its arrays, mapped into memory."""
        size = os.fstat(self._file.fileno()).st_size
        whole = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
        at = 0
        while at < size:
            length = int.from_bytes(whole[at : at + _WORD], "little")
            head = json.loads(whole[at + _WORD : at + _WORD + length])
            at += _WORD + length
            arrays = {}
            for name, (dtype, shape) in head["arrays"].items():
                count = int(np.prod(shape, dtype=np.int64))
                arrays[name] = np.frombuffer(whole, dtype, count, at).reshape(shape)
                at += -(-arrays[name].nbytes // _WORD) * _WORD
            yield head["told"], arrays

    def close(self) -> None:
        self._file.close()
