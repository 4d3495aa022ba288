"""Exact numbers with units, and their arithmetic.

Everything is a `Fraction` until the plan. Epochs and steps are one kind of
thing (`Time`) that only the plan, which knows the steps of an epoch, can make
a number of steps; all other units do not mix.
"""

from __future__ import annotations

from fractions import Fraction

from recipelang.source.frozen import frozen

#: unit as written -> (dimension, factor to the dimension's own unit)
UNITS: dict[str, tuple[str, Fraction]] = {
    **{name: ("epoch", Fraction(1)) for name in ("epoch", "epochs")},
    **{name: ("step", Fraction(1)) for name in ("step", "steps")},
    **{name: ("sample", Fraction(1)) for name in ("sample", "samples")},
    **{name: ("token", Fraction(1)) for name in ("token", "tokens")},
    **{name: ("byte", Fraction(10) ** (3 * i)) for i, name in enumerate(("B", "kB", "MB", "GB"))},
    **{name: ("byte", Fraction(1024) ** (i + 1)) for i, name in enumerate(("KiB", "MiB", "GiB"))},
    "ms": ("second", Fraction(1, 1000)),
    "s": ("second", Fraction(1)),
    "min": ("second", Fraction(60)),
    "h": ("second", Fraction(3600)),
    "x": ("x", Fraction(1)),
}

#: dimension -> what is counted
DIMENSIONS: dict[str, str] = {
    "epoch": "passes over the training data; a sum with steps is resolved by the plan",
    "step": "optimizer steps",
    "sample": "examples of a data set",
    "token": "tokens of an input",
    "byte": "sizes on disk and in memory",
    "second": "wall-clock time",
    "x": "ratios of two sizes",
}

#: No exact number may grow beyond this: it bounds what arithmetic can cost.
MAX_BITS = 256


class UnitError(ValueError):
    """Two units that do not go together."""


class TooLarge(ValueError):
    """A number outgrew `MAX_BITS`."""


def checked(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise TooLarge
    return value


@frozen
class Quantity:
    """A plain number (`unit` is none), or one with a unit other than time in a run.

    `percent` remembers how it was written, for display only.
    """

    value: Fraction
    unit: str | None = None
    percent: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and (self.value, self.unit) == (other.value, other.unit)

    def __hash__(self) -> int:
        return hash((self.value, self.unit))


@frozen
class Time:
    """A length of, or a point in, a stage: epochs plus steps."""

    epochs: Fraction = Fraction(0)
    steps: Fraction = Fraction(0)

    def exact_steps(self, steps_per_epoch: int) -> Fraction:
        return self.epochs * steps_per_epoch + self.steps

    def in_steps(self, steps_per_epoch: int) -> int:
        """Whole steps, rounded half up: the only rounding of time there is."""
        return round_half_up(self.exact_steps(steps_per_epoch))

    def __add__(self, other: Time) -> Time:
        return Time(checked(self.epochs + other.epochs), checked(self.steps + other.steps))

    def __sub__(self, other: Time) -> Time:
        return Time(checked(self.epochs - other.epochs), checked(self.steps - other.steps))

    def times(self, factor: Fraction) -> Time:
        return Time(checked(self.epochs * factor), checked(self.steps * factor))

    @property
    def pure(self) -> bool:
        """Written in one unit only, so that it compares without a plan."""
        return not (self.epochs and self.steps)


@frozen
class Rate:
    """`10 per epoch`."""

    value: Fraction


Numeric = Quantity | Time | Rate


def round_half_up(value: Fraction) -> int:
    """
    >>> [round_half_up(Fraction(n, 2)) for n in (1, 3, 4)]
    [1, 2, 2]
    """
    return int((2 * value + 1) // 2)


def make(value: Fraction, unit: str | None, percent: bool = False) -> Numeric:
    """A literal; `unit` is one of `UNITS`."""
    if unit is None:
        return Quantity(value, None, percent)
    dimension, factor = UNITS[unit]
    if dimension == "epoch":
        return Time(epochs=value)
    if dimension == "step":
        return Time(steps=value)
    return Quantity(checked(value * factor), dimension)


def describe(value: object) -> str:
    """A value's kind, with its article, for messages."""
    if isinstance(value, Time):
        return "a number of epochs" if not value.steps else "a number of steps" if not value.epochs else "a span"
    if isinstance(value, Rate):
        return "a rate"
    assert isinstance(value, Quantity)
    if value.unit is None:
        return "a ratio" if value.percent else "a plain number"
    return {"byte": "a size in bytes", "second": "a time in seconds", "x": "a factor"}.get(
        value.unit, f"a number of {value.unit}s"
    )


def _require_same(a: Numeric, b: Numeric) -> None:
    same = type(a) is type(b) and (not isinstance(a, Quantity) or a.unit == b.unit)  # type: ignore[union-attr]
    if not same:
        raise UnitError


def add(a: Numeric, b: Numeric, sign: int = 1) -> Numeric:
    _require_same(a, b)
    if isinstance(a, Time) and isinstance(b, Time):
        return a + b.times(Fraction(sign))
    assert isinstance(a, Quantity | Rate) and isinstance(b, Quantity | Rate)
    value = checked(a.value + sign * b.value)
    return Rate(value) if isinstance(a, Rate) else Quantity(value, a.unit, a.percent)


def multiply(a: Numeric, b: Numeric) -> Numeric:
    """One side must be a plain number or a ratio."""
    if not _plain(a):
        a, b = b, a
    if not (isinstance(a, Quantity) and a.unit is None):
        raise UnitError
    if isinstance(b, Time):
        return b.times(a.value)
    value = checked(a.value * b.value)
    if isinstance(b, Rate):
        return Rate(value)
    return Quantity(value, b.unit, a.percent and b.percent)


def divide(a: Numeric, b: Numeric) -> Numeric:
    """By a plain number, or like by like, which gives a plain number. `ZeroDivisionError` as usual."""
    if isinstance(b, Quantity) and b.unit is None:
        if b.value == 0:
            raise ZeroDivisionError
        return multiply(Quantity(1 / b.value), a)
    _require_same(a, b)
    if isinstance(a, Time) and isinstance(b, Time):
        if (a.steps or b.steps) and (a.epochs or b.epochs):
            raise UnitError
        return Quantity(checked((a.epochs + a.steps) / (b.epochs + b.steps)))
    return Quantity(checked(_single(a) / _single(b)))


def negate(a: Numeric) -> Numeric:
    if isinstance(a, Quantity):
        return Quantity(-a.value, a.unit, a.percent)
    return multiply(Quantity(Fraction(-1)), a)


def compare(a: Numeric, b: Numeric) -> int:
    """-1, 0 or 1. `UnitError` when the two do not compare before the plan knows the steps of an epoch."""
    _require_same(a, b)
    if isinstance(a, Time) and isinstance(b, Time):
        difference = a - b
        if not difference.pure:
            raise UnitError
        gap = difference.epochs + difference.steps
    else:
        gap = _single(a) - _single(b)
    return (gap > 0) - (gap < 0)


def _plain(a: Numeric) -> bool:
    return isinstance(a, Quantity) and a.unit is None


def _single(a: Numeric) -> Fraction:
    assert not isinstance(a, Time)
    return a.value


def show_fraction(value: Fraction) -> str:
    """An exact decimal where there is one, else `p/q`.

    >>> show_fraction(Fraction(9, 10)), show_fraction(Fraction(8, 100000)), show_fraction(Fraction(1, 3))
    ('0.9', '8e-5', '1/3')
    """
    numerator, denominator = value.numerator, value.denominator
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    if denominator != 1:
        return f"{numerator}/{value.denominator}"
    places = max(twos, fives)
    if places == 0:
        return str(numerator)
    digits = str(abs(numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if numerator < 0 else ""
    whole, fraction = digits[:-places], digits[-places:]
    if whole == "0" and len(fraction) - len(fraction.lstrip("0")) >= 3:
        significant = fraction.lstrip("0")
        mantissa = significant[0] + ("." + significant[1:] if len(significant) > 1 else "")
        return f"{sign}{mantissa}e-{len(fraction) - len(significant) + 1}"
    return f"{sign}{whole}.{fraction}"
