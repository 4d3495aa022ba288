"""Exactly the smallest n of a set of scores, in linear time, over one tensor or many.

The threshold is bracketed from a sample; one pass over the scores counts
what lies below and above the bracket, and the exact cut is made among the few
candidates inside. The set is never sorted, gathered or concatenated, and scores
are asked for one tensor at a time; the result does not depend on the seed. Ties
go by tensor order, then by flat index.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

#: a set smaller than this is all candidates
_SMALL = 1 << 14

#: the scores of one tensor: floating point, flat. A new call may reuse the buffer of the last one.
Scores = Callable[[], Tensor]


def smallest(scores: Sequence[Scores], zeros: int, live: Sequence[Tensor], *, seed: int = 0) -> list[Tensor]:
    """Keep-masks (bool, true = kept) with exactly `zeros` false over the whole set.

    Args:
        scores: of each tensor; the largest stay.
        zeros: how many are dropped.
        live: bool, false where a weight is already masked: these are dropped first. The masks have its shapes.
        seed: where the sample begins; it changes the time taken, never the result.

    Raises:
        ValueError: a score is NaN, or `zeros` is more than there are.
    """
    total = sum(m.numel() for m in live)
    if not 0 <= zeros <= total:
        raise ValueError(f"cannot drop {zeros:,} of {total:,}")
    alive = [m.reshape(-1) for m in live]
    living = sum(_count(m) for m in alive)
    wanted = zeros - (total - living)
    if wanted == 0:
        return [m.clone() for m in live]
    kept = _live_kept(scores, alive, wanted, living, seed) if wanted > 0 else _some_dead(alive, zeros)
    return [k.view(m.shape) for k, m in zip(kept, live, strict=True)]


def uniform(scores: Sequence[Scores], zeros: Sequence[int], live: Sequence[Tensor], *, seed: int = 0) -> list[Tensor]:
    """Each tensor to its own count."""
    return [smallest([s], n, [m], seed=seed)[0] for s, n, m in zip(scores, zeros, live, strict=True)]


def _some_dead(alive: list[Tensor], zeros: int) -> list[Tensor]:
    """Fewer zeros than there are masked weights: the first of them, in order."""
    out = []
    for mask in alive:
        drop = ~mask & ((~mask).cumsum(0) <= zeros)
        zeros -= _count(drop)
        out.append(~drop)
    return out


def _live_kept(scores: Sequence[Scores], alive: list[Tensor], wanted: int, living: int, seed: int) -> list[Tensor]:
    """Drop `wanted` of the live weights and all others."""
    low, high = _bracket(scores, alive, wanted, living, seed)
    while True:
        parts = [_split(score(), mask, low, high) for score, mask in zip(scores, alive, strict=True)]
        below = sum(p.below for p in parts)
        inside = sum(p.inside.numel() for p in parts)
        if below <= wanted <= below + inside:
            return _cut(parts, wanted - below)
        # the threshold is an end of the bracket, as with many equal scores, or the sample misled
        edge = low if wanted <= below else high
        under, equal = _around(scores, alive, edge)
        if sum(under) <= wanted <= sum(under) + sum(equal):
            return _at(scores, alive, edge, wanted - sum(under), equal)
        low, high = (-math.inf, edge) if wanted < sum(under) else (edge, math.inf)


@dataclass
class _Part:
    """One tensor, seen from a bracket."""

    keep: Tensor  # bool: live and at or above its upper end
    below: int  # live weights at or below its lower end
    inside: Tensor  # flat positions of live weights strictly inside
    values: Tensor  # their scores


def _split(score: Tensor, alive: Tensor, low: float, high: float) -> _Part:
    below = (score <= low).logical_and_(alive)
    above = (score >= high).logical_and_(alive)
    inside = _positions(below.logical_or(above).logical_xor_(alive))
    values = score[inside]
    if bool(values.isnan().any()):  # it compares with nothing, so it lies in every bracket
        raise ValueError("a score is not a number")
    return _Part(above, _count(below), inside, values)


def _positions(mask: Tensor) -> Tensor:
    """Where a flat mask is true; on a CPU numpy finds few among many several times faster."""
    if mask.device.type == "cpu":
        return torch.from_numpy(mask.numpy().nonzero()[0])
    return mask.nonzero().squeeze(1)


def _count(mask: Tensor) -> int:
    return int(np.count_nonzero(mask.numpy())) if mask.device.type == "cpu" else int(mask.count_nonzero())


def _cut(parts: list[_Part], rank: int) -> list[Tensor]:
    """Among the candidates, drop the `rank` smallest."""
    candidates = torch.cat([p.values for p in parts])
    threshold = _order_statistics(candidates, rank - 1)[0] if rank else -math.inf
    ties = rank - int((candidates < threshold).count_nonzero())
    for part in parts:
        equal = part.inside[part.values == threshold]
        here = min(ties, equal.numel())
        ties -= here
        part.keep[part.inside[part.values > threshold]] = True
        part.keep[equal[here:]] = True
    return [p.keep for p in parts]


def _around(scores: Sequence[Scores], alive: list[Tensor], edge: float) -> tuple[list[int], list[int]]:
    """Of every tensor, how many live scores lie below a value, and how many equal it."""
    under, equal = [], []
    for score, mask in zip(scores, alive, strict=True):
        s = score()
        under.append(_count((s < edge).logical_and_(mask)))
        equal.append(_count((s == edge).logical_and_(mask)))
    return under, equal


def _at(scores: Sequence[Scores], alive: list[Tensor], edge: float, ties: int, equal: list[int]) -> list[Tensor]:
    """Drop what is below `edge`, and the first `ties` of what equals it."""
    out = []
    for score, mask, n in zip(scores, alive, equal, strict=True):
        here = min(ties, n)
        ties -= here
        s = score()
        keep = (s > edge).logical_and_(mask)
        if here < n:
            keep[_positions((s == edge).logical_and_(mask))[here:]] = True
        out.append(keep)
    return out


def _bracket(scores: Sequence[Scores], alive: list[Tensor], wanted: int, living: int, seed: int) -> tuple[float, float]:
    """Two values that the threshold lies between, almost surely: order statistics of a sample ± 4 sd."""
    total = sum(m.numel() for m in alive)
    if total <= _SMALL:
        return -math.inf, math.inf
    # n^(2/3) looked at leave about as many candidates inside; every so many is far cheaper than at random
    step = max(1, round(total ** (1 / 3))) | 1
    parts = []
    for score, mask in zip(scores, alive, strict=True):
        some = slice(seed % min(step, max(1, mask.numel())), None, step)
        parts.append(score()[some][mask[some]])
    sample = torch.cat(parts)
    m = sample.numel()
    p = wanted / max(1, living)
    spread = 4 * (m * p * (1 - p)) ** 0.5 + 2
    first, last = int(m * p - spread), int(m * p + spread) + 1
    low, high = _order_statistics(sample, max(first, 0), min(last, m - 1))
    return low if first >= 0 else -math.inf, high if last < m else math.inf


def _order_statistics(values: Tensor, *ranks: int) -> list[float]:
    """The values that a sort would put at these places, exact as doubles."""
    array = values.cpu().float().numpy() if values.dtype != torch.float64 else values.cpu().numpy()
    return [float(v) for v in np.partition(array, ranks)[list(ranks)]]
