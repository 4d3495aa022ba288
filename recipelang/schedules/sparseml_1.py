"""The clock and the schedules of SparseML 1, step by step in doubles, as measured on its last commit.

Not how this language counts: epochs are floats here, an interval is added to the epoch of the last event, learning
rates pass their ends. Where the original crashed, `Crash` says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

#: of the original's interpolation: nearer to an end than this is the end
_EPSILON = 1e-10


class Crash(ArithmeticError):
    """The original stopped here with an exception of this name."""

    def __init__(self, exception: str, why: str) -> None:
        self.exception = exception
        super().__init__(why)


@dataclass(frozen=True)
class Window:
    """Epochs; `every` is -1 for every step."""

    start: float
    end: float
    every: float = -1.0


def epoch_of(step: int, per_epoch: int) -> float:
    """Of the step before it is taken.

    >>> epoch_of(25, 10)
    2.5
    """
    return float(step // per_epoch) + float(step % per_epoch) / float(per_epoch)


def updates(window: Window, per_epoch: int, steps: int) -> Iterator[tuple[int, float]]:
    """`(step, epoch)` of every update. The next is due an interval after the last: drift adds up."""
    started = False
    last = -1.0
    for step in range(steps):
        epoch = epoch_of(step, per_epoch)
        starts = not started and epoch >= window.start >= 0
        ends = started and epoch >= window.end >= 0
        due = started and epoch > window.start and (window.every == -1 or (last >= 0 and epoch >= last + window.every))
        if not (starts or ends or due):
            continue
        yield step, epoch
        last, started = epoch, True
        if epoch >= window.end >= 0:
            return


def between(power: float, epoch: float, window: Window, first: float, last: float) -> float:
    """The sparsity that an update at this epoch applies."""
    y = _way(power, _share(epoch, window.start, window.end))
    if y <= _EPSILON:
        return first
    if y >= 1 - _EPSILON:
        return last
    return y * (last - first) + first


def _share(epoch: float, start: float, end: float) -> float:
    if start == end:
        raise Crash("ZeroDivisionError", "the window has no length")
    return (epoch - start) / (end - start)


def _way(power: float, x: float) -> float:
    if power == 1:
        return x
    if x > 1 and power != int(power):
        raise Crash("TypeError", "the last update is after the window's end, where this shape is a complex number")
    return 1 - math.pow(1 - x, power)


# ------------------------------------------------------------------ learning rates
def rate(
    shape: str, epoch: float, first: float, last: float, window: Window, per_epoch: int, cycle: float = 1.0
) -> float:
    """What an update at this epoch sets: `linear`, `cosine`, or `cyclic`, not clamped to the window."""
    start, end = max(window.start, 0.0), window.end
    x = _share(epoch, start, end)
    match shape:
        case "linear":
            return first + x * (last - first)
        case "cosine":
            shift, bottom = (0.0, last) if last < first else (math.pi, first)
            height = abs(first - last)
            return math.cos(x * math.pi + shift) * height / 2 + height / 2 + bottom
    return _cyclic(epoch, first, last, (start, end), per_epoch, cycle)


def _cyclic(
    epoch: float, first: float, last: float, window: tuple[float, float], per_epoch: int, cycle: float
) -> float:
    start, end = window
    length, total = cycle * per_epoch, (end - start) * per_epoch
    step = (epoch - start) * per_epoch
    if step > int(total / length) * length:  # the last cycle may be shorter
        length = total % length
    if length == 0:
        raise Crash("ZeroDivisionError", "the last step is after the end of whole cycles")
    if length == 1:
        raise Crash("ZeroDivisionError", "a cycle of one step has no slope")
    return first - ((step % length) / (length - 1)) * (first - last)
