"""Means, spreads and intervals over a few seeds. Standard library only.

The interval of a difference is Student's for paired samples: with d_i the differences seed by seed,
`mean(d) ± t(n - 1) · sd(d) / sqrt(n)`, where `sd` divides by n - 1 and t is the 97.5 % quantile of
Student's distribution ("Student", The probable error of a mean, Biometrika 6, 1908). The distribution
of whole degrees of freedom is a finite sum: Abramowitz and Stegun, 26.7.3 and 26.7.4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """`sd` divides by n - 1; of one value there is none."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class Difference:
    """Over the seeds that both have. `low` and `high` bound the 95 % interval of the mean, from two pairs on."""

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


def spread(values: Sequence[float]) -> Spread | None:
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1)) if n > 1 else None
    return Spread(n, mean, sd)


def paired(ours: Mapping[int | None, float], theirs: Mapping[int | None, float]) -> Difference | None:
    """The mean of ours less theirs, over common seeds."""
    found = spread([ours[seed] - theirs[seed] for seed in ours if seed in theirs])
    if found is None:
        return None
    if found.sd is None:
        return Difference(found.n, found.mean, None, None, None)
    half = t_quantile(found.n - 1) * found.sd / math.sqrt(found.n)
    return Difference(found.n, found.mean, found.sd, found.mean - half, found.mean + half)


def t_quantile(freedom: int, share: float = 0.95) -> float:
    """The t within which `share` of Student's distribution lies on both sides of zero.

    >>> round(t_quantile(2), 3), round(t_quantile(9), 3)
    (4.303, 2.262)
    """
    low, high = 0.0, 1.0
    while _within(high, freedom) < share:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < share else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The probability that a value of Student's distribution lies in -t..t."""
    angle = math.atan(t / math.sqrt(freedom))
    square = math.cos(angle) ** 2
    odd = freedom % 2
    term, total = 1.0, 1.0 if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):  # the factors 1/2, 3/4, … or 2/3, 4/5, …
        term *= square * (k - 1) / k
        total += term
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * math.cos(angle) * total)
    return math.sin(angle) * total
