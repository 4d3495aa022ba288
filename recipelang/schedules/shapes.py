"""Shapes: the value at a share `x` of the way from `a` to `b`, exactly.

Rational shapes stay rational; cosine, exponential and fractional powers are
evaluated with 50 decimal digits. Doubles are made by whoever needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from math import lcm

_DIGITS = 50
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def value(shape: str, a: Fraction, b: Fraction, x: Fraction, power: Fraction | None = None) -> Fraction:
    """`a` at x = 0 and `b` at x = 1, except `constant` and `step`, which are `b` throughout; x is clamped.

    `cubic` is Zhu & Gupta's (arXiv 1710.01878), `b + (a - b)(1 - x)^3`: fast first, slow at the end.

    >>> value("cubic", Fraction(7, 10), Fraction(9, 10), Fraction(1, 2))
    Fraction(7, 8)
    >>> value("cosine", Fraction(0), Fraction(1), Fraction(1, 2))
    Fraction(1, 2)
    """
    x = min(max(x, Fraction(0)), Fraction(1))
    if shape in ("constant", "step") or x == 1:
        return b
    if x == 0:
        return a
    match shape:
        case "linear":
            return a + (b - a) * x
        case "cubic":
            return b + (a - b) * (1 - x) ** 3
        case "polynomial":
            return b + (a - b) * _power(1 - x, power or Fraction(1))
        case "cosine":
            return b + (a - b) * (1 + _cosine(x)) / 2
        case "exponential":
            return a * _power(b / a, x)
    raise KeyError(shape)


def is_cheap(shape: str, power: Fraction | None = None) -> bool:
    """Whether values are fractions of few digits."""
    return shape in ("constant", "step", "linear", "cubic") or (shape == "polynomial" and (power or 1) in (1, 2, 3, 4))


def values(
    shape: str, a: Fraction, b: Fraction, ways: Iterable[int], whole: int, power: Fraction | None = None
) -> Iterator[Fraction]:
    """`value` at each of the shares `way / whole`, all between 0 and 1, with one denominator for all.

    >>> [str(v) for v in values("cubic", Fraction(1, 2), Fraction(9, 10), (0, 5, 10), 10)]
    ['1/2', '17/20', '9/10']
    """
    if not is_cheap(shape, power) or shape in ("constant", "step"):
        yield from (value(shape, a, b, Fraction(way, whole), power) for way in ways)
        return
    n = {"linear": 1, "cubic": 3}.get(shape) or int(power or 1)
    unit = lcm(a.denominator, b.denominator)
    end, fall = int(b * unit), int((a - b) * unit)
    scale = whole**n
    for way in ways:
        yield Fraction(end * scale + fall * (whole - way) ** n, unit * scale)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator == 1 and abs(exponent) <= 64:
        return base ** int(exponent)
    with localcontext() as context:
        context.prec = _DIGITS
        return Fraction(_decimal(base) ** _decimal(exponent))


def _cosine(x: Fraction) -> Fraction:
    """cos(πx) for x in 0..1 by its power series; exact at the half."""
    if x == Fraction(1, 2):
        return Fraction(0)
    with localcontext() as context:
        context.prec = _DIGITS + 10
        square = (_PI * _decimal(x)) ** 2
        term = total = Decimal(1)
        n = 0
        while abs(term) > Decimal(10) ** -(_DIGITS + 5):
            n += 2
            term *= -square / (n * (n - 1))
            total += term
        return Fraction(+total)


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
