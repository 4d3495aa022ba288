"""Compressed files, unpacked in memory up to a limit: a few kilobytes can hold gigabytes of nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from pathlib import Path

from recipelang.source.words import limit_text
from recipelang.storage.reading import Unreadable, Why

#: how much a file may grow: text shrinks to a tenth, seldom to a fiftieth, a bomb to a thousandth
_TIMES, _BESIDE = 200, 64 * 2**20
#: bytes that a file of `.xz` may ask for to be unpacked
_XZ_MEMORY = 2**28


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
