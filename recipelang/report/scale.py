"""Axes: round numbers to put marks at, and how they are written."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Values `low..high` onto `start..end` of the picture."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def marks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers within `low..high`: multiples of 1, 2 or 5 times a power of ten.

    >>> marks(0, 1, 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def bounds(values: list[float], *, room: float = 0.05) -> tuple[float, float]:
    """A little more than the values take; something even where they are all one, or none."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if high - low < 1e-12:
        room_abs = abs(high) * 0.1 or 1.0
        return low - room_abs, high + room_abs
    return low - room * (high - low), high + room * (high - low)


def written(value: float, *, percent: bool = False, step: float = 1.0) -> str:
    """`0.85` as `85 %`, `12000` as `12,000`, `0.0004` as `4e-4`; as many decimals as the marks need."""
    if abs(value) < 1e-12:
        return "0 %" if percent else "0"
    if percent:
        digits = max(0, -math.floor(math.log10(step * 100) + 1e-9))
        return f"{value * 100:.{digits}f} %"
    if abs(value) < 1e-2 or abs(value) >= 1e6:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{digits}f}"
