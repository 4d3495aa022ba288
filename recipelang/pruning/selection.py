"""Exactly the smallest n of a set of scores, in linear time, over one tensor or many.

The threshold is bracketed from a sample; one pass over the scores counts
what lies below and above the bracket, and the exact cut is made among the few
candidates inside. The set is never sorted, gathered or concatenated, scores are
asked for one tensor at a time, and a mask in force becomes the new one: between
the passes it remembers in a bit of its own what lies above the bracket, so that
nothing as large as the set is ever added. The result does not depend on the seed. Ties
go by tensor order, then by flat index. Of tensors in shards every process gives
what it holds and gets masks of that: counts, the sample and the candidates are
all that is exchanged.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from recipelang import processes

#: a set smaller than this is all candidates
_SMALL = 1 << 14

#: the scores of one tensor: floating point, flat. A new call may reuse the buffer of the last one.
Scores = Callable[[], Tensor]
#: which of equal scores go: the first; or the last, and of those that are the smallest of all some by a fixed shuffle
Ties = Literal["first", "sparseml_1"]


def smallest(
    scores: Sequence[Scores],
    zeros: int,
    live: Sequence[Tensor],
    *,
    seed: int = 0,
    shards: bool = False,
    ties: Ties = "first",
) -> list[Tensor]:
    """Keep-masks (bool, true = kept) with exactly `zeros` false over the whole set: `live`, changed in place.

    Args:
        scores: of each tensor; the largest stay.
        zeros: how many are dropped.
        live: bool, contiguous, false where a weight is already masked: these are dropped first. After an error it is
            as it was.
        seed: where the sample begins; it changes the time taken, never the result.
        ties: which of equal scores go.
        shards: the tensors are what this process holds; `zeros` is of all.

    Raises:
        ValueError: a score is NaN, or `zeros` is more than there are.
    """
    alive = [m.view(-1) for m in live]
    total, living = _sum([sum(m.numel() for m in alive), sum(counts(alive))], shards)
    if not 0 <= zeros <= total:
        raise ValueError(f"cannot drop {zeros:,} of {total:,}")
    wanted = zeros - (total - living)
    if wanted > 0:
        try:
            _drop_live(scores, alive, wanted, _Set(total, living, seed, shards, ties))
        except BaseException:
            for mask in alive:
                _forget(mask)
            raise
    elif wanted < 0:
        _revive(alive, zeros, shards)
    return list(live)


def uniform(
    scores: Sequence[Scores],
    zeros: Sequence[int],
    live: Sequence[Tensor],
    *,
    seed: int = 0,
    shards: bool = False,
    ties: Ties = "first",
) -> list[Tensor]:
    """Each tensor to its own count, as `smallest`."""
    sets = zip(scores, zeros, live, strict=True)
    return [smallest([s], n, [m], seed=seed, shards=shards, ties=ties)[0] for s, n, m in sets]


@dataclass(frozen=True)
class _Set:
    """What is ranked, wherever it is."""

    total: int
    living: int
    seed: int
    shards: bool
    ties: Ties


def _sum(counts: list[int], shards: bool) -> list[int]:
    return [int(n) for n in processes.total(*counts)] if shards else counts


def _first(ties: int, equal: list[int], shards: bool) -> list[int]:
    """How many of `ties` fall on each tensor here: tensors in order, in each the lower ranks first."""
    everywhere = processes.each(equal) if shards else [equal]
    rank = processes.rank() if shards else 0
    here = []
    for tensor in range(len(equal)):
        for number, counts in enumerate(everywhere):
            taken = min(ties, counts[tensor])
            ties -= taken
            if number == rank:
                here.append(taken)
    return here


def _kept(tied: int, equal: list[int], known: _Set, lowest: bool) -> list[slice | Tensor]:
    """Which of the equal scores of each tensor stay, by their order, when `tied` of all go."""
    if known.ties == "first":
        return [slice(n, None) for n in _first(tied, equal, known.shards)]
    everywhere = processes.each(equal) if known.shards else [equal]
    rank = processes.rank() if known.shards else 0
    total = sum(map(sum, everywhere))
    if not lowest:
        return [slice(0, n) for n in _first(total - tied, equal, known.shards)]
    order = list(range(total))
    random.Random(42).shuffle(order)
    going = torch.zeros(total, dtype=torch.bool)
    going[order[:tied]] = True
    kept: list[slice | Tensor] = []
    begin = 0
    for tensor, n in enumerate(equal):
        mine = begin + sum(counts[tensor] for counts in everywhere[:rank])
        kept.append((~going[mine : mine + n]).nonzero().squeeze(1))
        begin += sum(counts[tensor] for counts in everywhere)
    return kept


def _revive(alive: list[Tensor], zeros: int, shards: bool) -> None:
    """Fewer zeros than there are masked weights: the first of them, in order, stay."""
    here = _first(zeros, [m.numel() - n for m, n in zip(alive, counts(alive), strict=True)], shards)
    for mask, n in zip(alive, here, strict=True):
        mask.logical_or_((~mask).cumsum(0) > n)


def _drop_live(scores: Sequence[Scores], alive: list[Tensor], wanted: int, known: _Set) -> None:
    """Drop `wanted` of the live weights as well."""
    low, high = _bracket(scores, alive, wanted, known)
    room = alive[0].new_empty(2, max(m.numel() for m in alive))
    while True:
        parts = [_split(score(), mask, low, high, room) for score, mask in zip(scores, alive, strict=True)]
        counts = [sum(p.below for p in parts), sum(p.inside.numel() for p in parts)]
        _only_numbers(parts, known.shards)
        below, inside = _sum(counts, known.shards)
        if below <= wanted <= below + inside:
            return _cut(parts, alive, wanted - below, known, not below)
        for mask in alive:
            _forget(mask)
        # the threshold is an end of the bracket, as with many equal scores, or the sample misled
        edge = low if wanted <= below else high
        less, equal = _around(scores, alive, edge)
        under, level = _sum([sum(less), sum(equal)], known.shards)
        if under <= wanted <= under + level:
            return _drop_below(scores, alive, edge, _kept(wanted - under, equal, known, not under), equal)
        low, high = (-math.inf, edge) if wanted < under else (edge, math.inf)


def _only_numbers(parts: list[_Part], shards: bool) -> None:
    """One that is not a number compares with nothing, so it lies in every bracket."""
    (bad,) = _sum([sum(bool(p.values.isnan().any()) for p in parts)], shards)
    if bad:
        raise ValueError("a score is not a number")


@dataclass
class _Part:
    """One tensor, seen from a bracket."""

    below: int  # live weights at or below its lower end
    inside: Tensor  # flat positions of live weights strictly inside
    values: Tensor  # their scores


def _split(score: Tensor, alive: Tensor, low: float, high: float, room: Tensor) -> _Part:
    """What is live and at or above the upper end is marked in `alive`.

    `room` is used for every tensor: large and small allocations in turns would leave holes in the heap, as much of it
    as there are masks.
    """
    below, above = room[:, : score.numel()]
    _compare(np.less_equal, torch.le, score, low, below).logical_and_(alive)
    _compare(np.greater_equal, torch.ge, score, high, above).logical_and_(alive)
    under = count(below)
    inside = _positions(below.logical_or_(above).logical_xor_(alive))
    _mark(alive, above)
    return _Part(under, inside, score[inside])


# a byte of a mask is 0 or 1; while a bracket is tried, 2 more says that the weight is above it
def _mark(mask: Tensor, chosen: Tensor) -> None:
    mask.view(torch.uint8).add_(chosen.view(torch.uint8), alpha=2)


def _forget(mask: Tensor) -> None:
    mask.view(torch.uint8).bitwise_and_(1)


def _only_marked(mask: Tensor) -> None:
    mask.view(torch.uint8).bitwise_right_shift_(1)


def _compare(on_cpu: np.ufunc, elsewhere: Callable[..., Tensor], score: Tensor, edge: float, out: Tensor) -> Tensor:
    """Into a flat mask; on a CPU numpy compares several times faster, except what it has no type for."""
    if score.device.type != "cpu" or score.dtype == torch.bfloat16:
        return elsewhere(score, edge, out=out)
    on_cpu(score.detach().numpy(), edge, out=out.numpy())
    return out


def _positions(mask: Tensor) -> Tensor:
    """Where a flat mask is true; on a CPU numpy finds few among many several times faster."""
    if mask.device.type == "cpu":
        return torch.from_numpy(mask.numpy().nonzero()[0])
    return mask.nonzero().squeeze(1)


def count(mask: Tensor) -> int:
    """How many are true."""
    return int(np.count_nonzero(mask.numpy())) if mask.device.type == "cpu" else int(mask.count_nonzero())


def counts(masks: Sequence[Tensor]) -> list[int]:
    """`count` of each; where they are on a device, in one reading."""
    if not masks or any(m.device.type == "cpu" for m in masks):
        return [*map(count, masks)]
    return [int(n) for n in torch.stack([m.count_nonzero() for m in masks]).cpu()]


def _cut(parts: list[_Part], alive: list[Tensor], rank: int, known: _Set, all_inside: bool) -> None:
    """What is marked stays, and of the candidates all but the `rank` smallest."""
    candidates = torch.cat([p.values for p in parts])
    if known.shards:
        candidates = processes.joined(candidates)
    threshold = _order_statistics(candidates, rank - 1)[0] if rank else -math.inf
    ties = rank - int((candidates < threshold).count_nonzero())
    equal = [part.inside[part.values == threshold] for part in parts]
    lowest = all_inside and ties == rank
    kept = _kept(ties, [e.numel() for e in equal], known, lowest)
    for mask, part, level, stay in zip(alive, parts, equal, kept, strict=True):
        _only_marked(mask)
        mask[part.inside[part.values > threshold]] = True
        mask[level[stay]] = True


def _around(scores: Sequence[Scores], alive: list[Tensor], edge: float) -> tuple[list[int], list[int]]:
    """Of every tensor, how many live scores lie below a value, and how many equal it."""
    under, equal = [], []
    for score, mask in zip(scores, alive, strict=True):
        s = score()
        both = counts([(s < edge).logical_and_(mask), (s == edge).logical_and_(mask)])
        under.append(both[0])
        equal.append(both[1])
    return under, equal


def _drop_below(
    scores: Sequence[Scores], alive: list[Tensor], edge: float, kept: Sequence[slice | Tensor], equal: list[int]
) -> None:
    """Drop what is below `edge`, and of each tensor what equals it but for those `kept`."""
    for score, mask, n, stay in zip(scores, alive, equal, kept, strict=True):
        s = score()
        some = len(range(n)[stay]) > 0 if isinstance(stay, slice) else stay.numel() > 0
        level = _positions((s == edge).logical_and_(mask))[stay] if some else None
        mask.logical_and_(s > edge)
        if level is not None:
            mask[level] = True


def _bracket(scores: Sequence[Scores], alive: list[Tensor], wanted: int, known: _Set) -> tuple[float, float]:
    """Two values that the threshold lies between, almost surely: order statistics of a sample ± 4 sd."""
    if known.total <= _SMALL:
        return -math.inf, math.inf
    # n^(2/3) looked at leave about as many candidates inside; every so many is far cheaper than at random
    step = max(1, round(known.total ** (1 / 3))) | 1
    parts = []
    for score, mask in zip(scores, alive, strict=True):
        some = slice(known.seed % min(step, max(1, mask.numel())), None, step)
        parts.append(score()[some][mask[some]])
    sample = torch.cat(parts)
    if known.shards:
        sample = processes.joined(sample)
    m = sample.numel()
    p = wanted / max(1, known.living)
    spread = 4 * (m * p * (1 - p)) ** 0.5 + 2
    first, last = int(m * p - spread), int(m * p + spread) + 1
    low, high = _order_statistics(sample, max(first, 0), min(last, m - 1))
    return low if first >= 0 else -math.inf, high if last < m else math.inf


def _order_statistics(values: Tensor, *ranks: int) -> list[float]:
    """The values that a sort would put at these places, exact as doubles."""
    array = values.cpu().float().numpy() if values.dtype != torch.float64 else values.cpu().numpy()
    return [float(v) for v in np.partition(array, ranks)[list(ranks)]]
