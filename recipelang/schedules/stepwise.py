"""Values that are set at every step (learning rate, temperature, hardness), from planned segments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

from recipelang.schedules import shapes


class Planned(Protocol):
    """A shape over steps `first..last`, both included, restarting at each of `cycles`.

    `whole`: the shape's own ends, where only a part of it lies there.
    """

    shape: str
    start: float
    end: float
    first: int
    last: int
    power: float | None
    cycles: tuple[int, ...]
    whole: tuple[float, float] | None


def at(segments: Sequence[Planned], step: int) -> float:
    """The value at a step: x = (k - first)/(last - first), so the last step has the end value exactly.

    A window of one step gives the end, a rewound cycle of one step the start.
    """
    segment = next((s for s in segments if s.first <= step <= s.last), segments[-1])
    if segment.whole is not None:
        begin, end = map(Fraction, segment.whole)
        return float(
            shapes.value(segment.shape, Fraction(segment.start), Fraction(segment.end), (step - begin) / (end - begin))
        )
    first, last = segment.first, segment.last
    if segment.cycles:
        i = bisect_right(segment.cycles, step) - 1
        first = segment.cycles[i]
        last = segment.cycles[i + 1] - 1 if i + 1 < len(segment.cycles) else segment.last
        if first == last:
            return segment.start
    x = Fraction(step - first, last - first) if last > first else Fraction(1)
    power = None if segment.power is None else Fraction(segment.power)
    exact = shapes.value(segment.shape, Fraction(segment.start), Fraction(segment.end), x, power)
    return float(exact)
