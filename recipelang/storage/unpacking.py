"""Compressed files, unpacked in memory up to a limit: a few kilobytes can hold gigabytes of nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from recipelang.source.words import limit_text
from recipelang.storage.reading import Unreadable, Why

#: how much a file may grow: text shrinks to a tenth, seldom to a fiftieth, a bomb to a thousandth
_TIMES, _BESIDE = 200, 64 * 2**20
#: bytes that a file of `.xz` may ask for to be unpacked
_XZ_MEMORY = 2**28
#: bytes of a packed file that are read together
_AT_ONCE = 2**16


def unpack(path: Path, data: bytes) -> bytes:
    """What a file holds whose name ends in `.gz`, `.bz2`, `.xz` or `.zst`. `Unreadable`: damaged, or too large."""
    limit = _TIMES * len(data) + _BESIDE
    try:
        found = _unpacked(path.suffix, data, limit)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise Unreadable(
            path, Why.DAMAGED, str(error).splitlines()[0][:160] if str(error) else "it is cut short"
        ) from None
    if len(found) > limit:
        raise Unreadable(path, Why.TOO_LARGE, f"larger than {limit_text(limit)} when it is unpacked")
    return found


def _unpacked(kind: str, data: bytes, limit: int) -> bytes:
    match kind:
        case ".gz":
            return gzip.GzipFile(fileobj=io.BytesIO(data)).read(limit + 1)
        case ".bz2":
            return bz2.BZ2File(io.BytesIO(data)).read(limit + 1)
        case ".xz":
            return _xz(data, limit + 1)
    import pyarrow

    with pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd") as stream:
        return bytes(stream.read(limit + 1))


def unpacking(path: Path, file: BinaryIO) -> BinaryIO:
    """What such a file holds, unpacked as it is read, up to the same limit. Reading raises what `unpack` does."""
    return io.BufferedReader(_Unpacking(path, file), 2**18)


class _Unpacking(io.RawIOBase):
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.left = _TIMES * file.seek(0, io.SEEK_END) + _BESIDE
        file.seek(0)
        self.inner: Any = None  # what unpacks, opened by the first reading: that may fail

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            self.inner = self.inner or self._opened()
            data = self.inner.read(len(buffer))
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            why = str(error).splitlines()[0][:160] if str(error) else "it is cut short"
            raise Unreadable(self.path, Why.DAMAGED, why) from None
        self.left -= len(data)
        if self.left < 0:
            limit = _TIMES * self.file.seek(0, io.SEEK_END) + _BESIDE
            raise Unreadable(self.path, Why.TOO_LARGE, f"larger than {limit_text(limit)} when it is unpacked")
        buffer[: len(data)] = data
        return len(data)

    def _opened(self) -> Any:
        match self.path.suffix:
            case ".gz":
                return gzip.GzipFile(fileobj=self.file)
            case ".bz2":
                return bz2.BZ2File(self.file)
            case ".xz":
                return _Xz(self.file)
        import pyarrow

        return pyarrow.CompressedInputStream(pyarrow.PythonFile(self.file, "r"), "zstd")

    def close(self) -> None:
        self.file.close()
        super().close()


class _Xz:
    """Several streams one behind the other, each within the memory that it may ask for."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.stream: lzma.LZMADecompressor | None = None
        self.data = b""

    def read(self, most: int) -> bytes:
        found = b""
        while not found:
            if self.stream is None:
                self.data = self.data.lstrip(b"\0") or self.file.read(_AT_ONCE).lstrip(b"\0")
                if not self.data:
                    return b""
                self.stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)
            if self.stream.needs_input and not self.data:
                self.data = self.file.read(_AT_ONCE)
                if not self.data:
                    raise EOFError("it is cut short")
            found, self.data = self.stream.decompress(self.data, most), b""
            if self.stream.eof:
                self.data, self.stream = self.stream.unused_data, None
        return found


def _xz(data: bytes, most: int) -> bytes:
    """Several streams one behind the other are one file."""
    parts: list[bytes] = []
    while data and most > 0:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)
        while not stream.eof and most > 0:
            if stream.needs_input and not data:
                raise EOFError("it is cut short")
            parts.append(stream.decompress(data, most))
            most -= len(parts[-1])
            data = b""
        data = stream.unused_data.lstrip(b"\0")
    return b"".join(parts)
