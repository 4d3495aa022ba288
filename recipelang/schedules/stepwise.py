"""Values that are set at every step (learning rate, temperature, hardness), from planned segments."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, Protocol

from recipelang.schedules import shapes


class Planned(Protocol):
    """A shape over steps `first..last`, both included, restarting at each of `cycles`.

    `ends`: whether it is at `end` `after` the last step of a window or cycle, or on the `last` one. `whole`: the
    shape's own ends, where only a part of it lies there.
    """

    shape: str
    start: float
    end: float
    first: int
    last: int
    power: float | None
    cycles: tuple[int, ...]
    ends: Literal["after", "last"]
    whole: tuple[float, float] | None


def at(segments: Sequence[Planned], step: int) -> float:
    """The value in force during a step, read at its start: x = (k - first)/n for the k-th of n steps.

    So it is as in transformers' schedulers: the end value is that of the step behind the window, or of the next cycle's
    first, where it restarts instead. With `ends = last`, x = (k - first)/(n - 1): the last step has the end value
    exactly; a window of one step gives the end, a rewound cycle of one step the start.
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
    length = last - first + (segment.ends == "after")
    x = Fraction(step - first, length) if length else Fraction(1)
    power = None if segment.power is None else Fraction(segment.power)
    exact = shapes.value(segment.shape, Fraction(segment.start), Fraction(segment.end), x, power)
    return float(exact)
