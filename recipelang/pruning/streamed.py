"""The cut of `selection.smallest`, of scores that are asked for one tensor after the other and never lie together.

Scores are counted by their bits, sixteen at a time from the highest on, put so that their order is that of the numbers:
after two passes over scores in single precision, four in double, the smallest one that stays is known, and how many
equal ones go. Nothing is kept between two tensors but the counts, so memory does not grow with the set. The same weights
go as there: masked ones first, of equal scores the first in the order of the tensors and in each by its flat index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from recipelang.pruning.selection import count

_DIGIT = 16
#: scores that are looked at together
_PIECE = 1 << 20

#: scores of each tensor with its mask in force, both flat, in one order; a pair is not used after the next is asked for
Each = Callable[[], Iterable[tuple[Tensor, Tensor]]]


class Cut:
    """Where a set of scores is cut. `keep` is asked for each tensor once, in the order in which they were counted."""

    def __init__(self, kind: type[np.floating], edge: int, ties: int, masked: int) -> None:
        self.kind = kind
        self.edge = edge  # bits, as `_ordered`; what is below goes
        self.ties = ties  # so many of those that equal it go as well
        self.masked = masked  # weights of the set that were masked before

    def keep(self, score: Tensor, live: Tensor) -> Tensor:
        """The new mask of the next tensor, flat."""
        kept = torch.empty(live.numel(), dtype=torch.bool)
        for at, bits, alive in _pieces(score, live, self.kind):
            stays = alive & (bits > self.edge)
            level = (alive & (bits == self.edge)).nonzero()[0]
            stays[level[self.ties :]] = True
            self.ties -= min(self.ties, len(level))
            kept[at : at + len(stays)] = torch.from_numpy(stays)
        return kept.to(live.device)


def cut(each: Each, zeros: Callable[[int], int]) -> Cut:
    """Where to cut so that exactly so many scores go, counted with those that are masked already.

    Args:
        each: called for every pass.
        zeros: from the number that are masked already, how many are to be: no fewer.

    Raises:
        ValueError: a score is NaN, or more are to go than there are, or fewer than are masked.
    """
    try:
        return _cut(each, zeros, np.float32)
    except _Wider:
        return _cut(each, zeros, np.float64)


class _Wider(Exception):
    """A score has double precision."""


def _cut(each: Each, zeros: Callable[[int], int], kind: type[np.floating]) -> Cut:
    width = 8 * np.dtype(kind).itemsize
    total = masked = wanted = edge = 0
    for shift in range(width - _DIGIT, -1, -_DIGIT):
        first, found = shift == width - _DIGIT, np.zeros(1 << _DIGIT, np.int64)
        for score, live in each():
            if score.dtype == torch.float64 and kind is not np.float64:
                raise _Wider
            if first:
                total, masked = total + live.numel(), masked + live.numel() - count(live)
            for _, bits, alive in _pieces(score, live, kind):
                bits = bits[alive] >> shift
                if not first:
                    bits = bits[bits >> _DIGIT == edge]
                found += np.bincount((bits & (1 << _DIGIT) - 1).astype(np.int64), minlength=len(found))
        if first:
            wanted = zeros(masked) - masked
            if not 0 <= wanted <= total - masked:
                raise ValueError(f"cannot drop {wanted:,} of {total - masked:,}")
            if not wanted:
                return Cut(kind, -1, 0, masked)
        ends = found.cumsum()
        digit = int(np.searchsorted(ends, wanted))
        wanted -= int(ends[digit] - found[digit])
        edge = edge << _DIGIT | digit
    return Cut(kind, edge, wanted, masked)


def _pieces(score: Tensor, live: Tensor, kind: type[np.floating]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Where a piece begins, its scores as whole numbers in their order, and which are not masked."""
    wide = torch.float64 if kind is np.float64 else torch.float32
    for at in range(0, score.numel(), _PIECE):
        values = score[at : at + _PIECE].detach().to("cpu", wide).numpy()
        if np.isnan(values).any():
            raise ValueError("a score is not a number")
        yield at, _ordered(values), live[at : at + _PIECE].cpu().numpy()


def _ordered(values: np.ndarray) -> np.ndarray:
    """Bits of floating-point numbers, so that whole numbers have their order; both zeros are one.

    >>> _ordered(np.array([-2.0, -0.0, 0.0, 1e-45, 3.0], np.float32)).tolist()
    [1073741823, 2147483648, 2147483648, 2147483649, 3225419776]
    """
    kind = np.uint64 if values.dtype == np.float64 else np.uint32
    sign = kind(1) << kind(8 * values.itemsize - 1)
    bits = (values + values.dtype.type(0)).view(kind)
    return np.where(bits & sign, ~bits, bits | sign)
