"""Exact zeros of a model's matrices, counted from its files piece by piece: no torch, never a whole model in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from recipelang.planning.remembered import file_digest, remembered
from recipelang.planning.safetensors_header import read_header, weight_files
from recipelang.storage.forms import Count

#: type -> how its bits are looked at, and those that may be set in a zero: the sign of floats
_BITS: dict[str, tuple[str, int]] = {
    "F64": ("<u8", 1 << 63), "F32": ("<u4", 1 << 31), "F16": ("<u2", 1 << 15), "BF16": ("<u2", 1 << 15),
    "F8_E4M3": ("u1", 1 << 7), "F8_E5M2": ("u1", 1 << 7), "I64": ("<u8", 0), "U64": ("<u8", 0), "I32": ("<u4", 0),
    "U32": ("<u4", 0), "I16": ("<u2", 0), "U16": ("<u2", 0), "I8": ("u1", 0), "U8": ("u1", 0), "BOOL": ("u1", 0),
}  # fmt: skip
#: weights looked at at once
_PIECE = 2**22

_COUNTS = TypeAdapter(dict[str, tuple[Count, Count]])

Pattern = tuple[str, tuple[int, int]]

#: patterns that are looked for whatever the recipe says, the tightest first: a model may have come with them
STANDARD: tuple[Pattern, ...] = (
    *(("N:M", size) for size in ((1, 8), (1, 4), (2, 8), (1, 2), (2, 4), (4, 8), (3, 4), (6, 8))),
    *(("block", (n, n)) for n in (32, 16, 8, 4)),
    *(("block", size) for size in ((1, 16), (16, 1), (1, 8), (8, 1), (1, 4), (4, 1), (2, 2))),
)
#: rows that tell at once of most patterns that a matrix does not keep to them
_PROBE = 64


@dataclass(frozen=True)
class Counted:
    shape: tuple[int, ...]
    zeros: int
    patterns: tuple[Pattern, ...] = ()
    fullest: int = 0  # the most zeros in a row of a matrix

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


def stored_zeros(folder: Path) -> dict[str, tuple[int, int]]:
    """Tensor of a model folder -> its exact zeros and the most in a row, by the names in its files, each counted once."""
    found: dict[str, tuple[int, int]] = {}
    for name in weight_files(folder):
        path = folder / name

        def look(path: Path = path) -> dict[str, tuple[int, int]]:
            return {tensor: (counted.zeros, counted.fullest) for tensor, counted in count(path)}

        known = remembered("zeros", [3, file_digest(path)], _COUNTS, look)
        found |= known
    return found


def count(
    path: Path, patterns: tuple[Pattern, ...] = (), turned: Collection[str] = ()
) -> Iterator[tuple[str, Counted]]:
    """Every tensor of a safetensors file with its exact zeros, and the patterns that a matrix keeps to.

    `patterns` are those that a recipe prunes to: they come first, then those of `STANDARD`. The `turned` are stored
    inputs × outputs. Of a stack of matrices the patterns are those that each of them keeps to.
    """
    entries = read_header(path)
    for name, entry in entries.items():
        if entry.dtype not in _BITS:
            continue
        kind, sign = _BITS[entry.dtype]
        size = int(np.prod(entry.shape, dtype=np.int64))
        if not size:
            yield name, Counted(entry.shape, 0)
            continue
        data = np.memmap(path, np.dtype(kind), "r", entry.start, (size,))
        yield name, _counted(data, entry.shape, sign, patterns, turned=name in turned)


def patterns_of(live: np.ndarray, planned: tuple[Pattern, ...], *, turned: bool = False) -> tuple[Pattern, ...]:
    """The patterns that a matrix in memory keeps to, as `count` finds them; `live` (bool) is false where it is zero."""
    flat = np.ascontiguousarray(live).reshape(-1).view(np.uint8)
    return _counted(flat, live.shape, 0, planned, turned=turned).patterns


def _counted(
    data: np.ndarray, shape: tuple[int, ...], sign: int, patterns: tuple[Pattern, ...], *, turned: bool = False
) -> Counted:
    if len(shape) == 3 and all(shape):
        each = [_counted(m.reshape(-1), shape[1:], sign, patterns, turned=turned) for m in data.reshape(shape)]
        alike = tuple(p for p in each[0].patterns if all(p in one.patterns for one in each))
        return Counted(shape, sum(one.zeros for one in each), alike, max(one.fullest for one in each))
    if len(shape) == 2 and turned:
        seen = _counted(np.ascontiguousarray(data.reshape(shape).T).reshape(-1), shape[::-1], sign, patterns)
        return Counted(shape, seen.zeros, seen.patterns, seen.fullest)
    keep = data.dtype.type(~sign & (2 ** (8 * data.dtype.itemsize) - 1))
    if len(shape) != 2:
        pieces = (data[i : i + _PIECE] for i in range(0, len(data), _PIECE))
        return Counted(shape, sum(int(((piece & keep) == 0).sum()) for piece in pieces))
    zeros, kept, fullest = _look(data, shape, keep, patterns)
    others = tuple(p for p in standard(shape, zeros) if p not in patterns)
    if others:
        first = data[: _PROBE * shape[1]]
        others = _look(first, (len(first) // shape[1], shape[1]), keep, others, least=0.5)[1]
        others = _look(data, shape, keep, others)[1]
    return Counted(shape, zeros, (*kept, *others), fullest)


def standard(shape: tuple[int, ...], zeros: int) -> tuple[Pattern, ...]:
    """The usual patterns that a matrix with so many zeros may keep to: of N:M it has the share, to a hundredth."""
    height, width = shape
    size = height * width
    found = []
    for kind, (a, b) in STANDARD:
        rows, columns = (1, b) if kind == "N:M" else (a, b)
        fits = height % rows == 0 and width % columns == 0
        share = abs(zeros - size * (b - a) / b) <= 0.01 * size if kind == "N:M" else 0.01 * size <= zeros < size
        if fits and share:
            found.append((kind, (a, b)))
    return tuple(found)


def _look(
    data: np.ndarray, shape: tuple[int, int], keep: np.generic, patterns: tuple[Pattern, ...], least: float = 0.99
) -> tuple[int, tuple[Pattern, ...], int]:
    """The zeros of a matrix, the patterns that they are of, and the most in a row, in pieces of whole groups of rows."""
    height, width = shape
    kept = {p: _Kept(p, height, width) for p in patterns}
    tall = int(np.lcm.reduce([k.rows for k in kept.values()] or [1]))
    rows = max(1, _PIECE // width // tall) * tall
    zeros = fullest = 0
    for top in range(0, height, rows):
        zero = (data[top * width : (top + rows) * width].reshape(-1, width) & keep) == 0
        in_rows = zero.sum(1)
        zeros, fullest = zeros + int(in_rows.sum()), max(fullest, int(in_rows.max()))
        for each in kept.values():
            each.see(zero)
    return zeros, tuple(p for p, k in kept.items() if k.holds(zeros, least)), fullest


class _Kept:
    """Whether the zeros of a matrix are those of a pattern, seen rows at a time: N:M in every group, or whole blocks.

    A weight that is zero by chance in a block that stays does not count against it.
    """

    def __init__(self, pattern: Pattern, height: int, width: int) -> None:
        self.kind, (first, second) = pattern
        self.n = first
        self.rows, self.columns = (1, second) if self.kind == "N:M" else (first, second)
        self.fits = height % self.rows == 0 and width % self.columns == 0
        self.whole = 0

    def see(self, zero: np.ndarray) -> None:
        if not self.fits:
            return
        if self.kind == "N:M":
            self.fits = bool((zero.reshape(len(zero), -1, self.columns).sum(2) >= self.columns - self.n).all())
        else:
            tiles = zero.reshape(-1, self.rows, zero.shape[1] // self.columns, self.columns).all((1, 3))
            self.whole += int(tiles.sum()) * self.rows * self.columns

    def holds(self, zeros: int, least: float = 0.99) -> bool:
        """`least`: the share of the zeros that lie in whole blocks. Where there are none, nothing speaks against it."""
        if not zeros and least < 0.99:
            return self.fits
        return self.fits and (self.kind == "N:M" or (self.whole > 0 and self.whole >= least * zeros))
