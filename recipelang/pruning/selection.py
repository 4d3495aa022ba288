"""Exactly the smallest n of a set of scores, in linear time, over one tensor or many.

The threshold is bracketed from a seeded sample, what lies below is counted
tensor by tensor, and the exact cut is made among the few candidates inside the
bracket. The set is never sorted, gathered or concatenated; the result does not
depend on the seed. Ties go by tensor order, then by flat index.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

_SAMPLE = 4_096
#: a set smaller than this is cheaper to partition whole
_SMALL = 1 << 14


def n_zero(sparsity: Fraction, n: int) -> int:
    """How many of `n` weights are zero: half to even on the exact product."""
    return round(sparsity * n)


def smallest(
    scores: Sequence[Tensor], zeros: int, dead: Sequence[Tensor] | None = None, *, seed: int = 0
) -> list[Tensor]:
    """Keep-masks (bool, true = kept) with exactly `zeros` false over the whole set.

    Args:
        scores: floating point, any shapes; the largest stay.
        zeros: how many are dropped.
        dead: bool, true where a weight is already masked: these go first.
        seed: of the sample; it changes the time taken, never the result.

    Raises:
        ValueError: a score is NaN, or `zeros` is more than there are.
    """
    total = sum(s.numel() for s in scores)
    if not 0 <= zeros <= total:
        raise ValueError(f"cannot drop {zeros:,} of {total:,}")
    if dead is None:
        live = list(scores)
        already = 0
    else:
        counts = [int(d.sum()) for d in dead]
        already = sum(counts)
        live = [s[~d] if c else s.reshape(-1) for s, d, c in zip(scores, dead, counts, strict=True)]
    if zeros <= already and dead is not None:
        return _keep_some_dead(scores, dead, zeros)
    kept = _smallest_live([s.reshape(-1) for s in live], zeros - already, seed)
    if dead is None:
        return [k.view(s.shape) for k, s in zip(kept, scores, strict=True)]
    out: list[Tensor] = []
    for score, mask, part in zip(scores, dead, kept, strict=True):
        keep = ~mask
        keep[keep.clone()] = part
        out.append(keep.view(score.shape))
    return out


def uniform(scores: Sequence[Tensor], zeros: Sequence[int], dead: Sequence[Tensor] | None = None) -> list[Tensor]:
    """Each tensor to its own count."""
    masks = dead or [None] * len(scores)  # type: ignore[list-item]
    return [smallest([s], n, None if d is None else [d])[0] for s, n, d in zip(scores, zeros, masks, strict=True)]


def _keep_some_dead(scores: Sequence[Tensor], dead: Sequence[Tensor], zeros: int) -> list[Tensor]:
    """Fewer zeros than there are masked weights: the first of them, in order."""
    out = []
    for score, mask in zip(scores, dead, strict=True):
        flat = mask.reshape(-1)
        drop = flat & (flat.cumsum(0) <= zeros)
        zeros -= int(drop.sum())
        out.append((~drop).view(score.shape))
    return out


def _smallest_live(scores: list[Tensor], zeros: int, seed: int) -> list[Tensor]:
    total = sum(s.numel() for s in scores)
    if zeros in (0, total):
        if any(bool(s.isnan().any()) for s in scores):
            raise ValueError("a score is not a number")
        return [torch.full_like(s, zeros == 0, dtype=torch.bool) for s in scores]
    low, high = _bracket(scores, zeros, total, seed)
    below = sum(int((s < low).sum()) for s in scores)
    inside = [s[(s >= low) & (s <= high)] for s in scores]
    if not below <= zeros <= below + sum(i.numel() for i in inside):
        # the sample misled (or scores are not numbers): the whole set is the bracket
        if any(bool(s.isnan().any()) for s in scores):
            raise ValueError("a score is not a number")
        low, high = float("-inf"), float("inf")
        below, inside = 0, scores
    if sum(i.numel() for i in inside) + below + sum(int((s > high).sum()) for s in scores) != total:
        raise ValueError("a score is not a number")
    wanted = zeros - below
    if wanted == 0:
        return [s >= low for s in scores]
    candidates = torch.cat(inside) if len(inside) > 1 else inside[0]
    threshold = candidates.kthvalue(wanted).values
    ties = wanted - int((candidates < threshold).sum())
    return [_cut(s, threshold, t) for s, t in zip(scores, _share(scores, threshold, ties), strict=True)]


def _bracket(scores: list[Tensor], zeros: int, total: int, seed: int) -> tuple[float, float]:
    """Two values that the threshold lies between, almost surely: order statistics of a sample ± 4 sd."""
    if total <= _SMALL:
        return float("-inf"), float("inf")
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for s in scores:
        if not s.numel():
            continue
        n = max(1, round(_SAMPLE * s.numel() / total))
        at = torch.randint(s.numel(), (n,), generator=generator)
        parts.append(s[at.to(s.device)].float().cpu())
    sample = torch.cat(parts).sort().values
    m, p = sample.numel(), zeros / total
    spread = 4 * (m * p * (1 - p)) ** 0.5 + 2
    first, last = int(m * p - spread), int(m * p + spread) + 1
    low = float(sample[first]) if first >= 0 else float("-inf")
    high = float(sample[last]) if last < m else float("inf")
    return low, high


def _share(scores: list[Tensor], threshold: Tensor, ties: int) -> list[int]:
    """How many of the scores equal to the threshold each tensor drops, first come first."""
    shares = []
    for s in scores:
        here = min(ties, int((s == threshold).sum())) if ties else 0
        shares.append(here)
        ties -= here
    return shares


def _cut(score: Tensor, threshold: Tensor, ties: int) -> Tensor:
    """Keep what is above the threshold, and of what equals it all but the first `ties`."""
    keep = score >= threshold
    if ties:
        equal = (score == threshold).nonzero().squeeze(1)
        keep[equal[:ties]] = False
    return keep
