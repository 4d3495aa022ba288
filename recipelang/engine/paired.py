"""Times of several programs, measured in turn in one process, and how they compare.

A machine is slower at one moment than at the next. Programs that take turns meet the same moments, so the ratio of two
times of one round says more than the ratio of two means. On one thread the processor's time of this process is
counted, which other programs hardly change; on several threads it would count the waiting of each as work, so there
it is the time on the clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from statistics import median

from recipelang.source.frozen import frozen

Pass = Callable[[], object]
#: seconds that a pass takes
Clock = Callable[[Pass], float]

#: passes of each program before the first that counts: caches fill, memory is laid out
WARM_UP = 3
#: fewer give no interval of 95 %
LEAST_ROUNDS = 6


@frozen
class Ratio:
    """The median over rounds of one program's time by another's, and the 95 % interval of that median."""

    median: float
    low: float
    high: float


def interleaved(
    passes: Sequence[Pass], rounds: int, clock: Clock, between: Callable[[], None] = lambda: None
) -> list[list[float]]:
    """Of every program the seconds of each round. Each round begins with another one, so that none is always first.

    `between` is called before every round, and may end the measurement by raising.
    """
    for _ in range(WARM_UP):
        between()
        for each in passes:
            each()
    found: list[list[float]] = [[] for _ in passes]
    for round in range(rounds):
        between()
        for turn in range(len(passes)):
            at = (round + turn) % len(passes)
            found[at].append(clock(passes[at]))
    return found


def ratio(reference: Sequence[float], ours: Sequence[float]) -> Ratio:
    """How many times faster ours is, from pairs of one round.

    >>> ratio([2.0] * 6, [1.0, 1.0, 1.0, 1.0, 2.0, 0.5])
    Ratio(median=2.0, low=1.0, high=4.0)
    """
    pairs = [theirs / own for theirs, own in zip(reference, ours, strict=True)]
    return Ratio(median(pairs), *median_interval(pairs))


def median_interval(values: Sequence[float], share: float = 0.95) -> tuple[float, float]:
    """Two of the values, between which the median of what they are drawn from lies with at least this probability.

    Whatever the distribution, the number of values below its median is binomial (B. F. Arnold, N. Balakrishnan,
    H. N. Nagaraja, A First Course in Order Statistics, 7.1). Of too few values: the least and the greatest.
    """
    ordered, n = sorted(values), len(values)
    below, dropped = 0.0, 0
    while (below := below + math.comb(n, dropped) / 2**n) <= (1 - share) / 2:
        dropped += 1
    at = max(dropped - 1, 0)
    return ordered[at], ordered[n - 1 - at]


def processor_time(run: Pass) -> float:
    begun = time.process_time()
    run()
    return time.process_time() - begun


def clock_time(run: Pass) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def gpu_time(run: Pass) -> float:
    """Between two events on the current stream of a CUDA device."""
    import torch

    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    first.record()
    run()
    last.record()
    last.synchronize()
    return first.elapsed_time(last) / 1000
