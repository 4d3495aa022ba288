"""Shapes, each declared once: the value at a share `x` of the way from `a` to `b`, exactly.

Rational shapes stay rational; cosine, exponential and fractional powers are
evaluated with 50 decimal digits. Doubles are made by whoever needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from math import lcm

from recipelang.source.frozen import frozen

_DIGITS = 50
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


@frozen
class Shape:
    """`doc` says what the value does on its way from `a` to `b`; `arguments` are its own, beside the common ones.

    Between the ends it is what `between` makes of a, b and x, or else `b + (a - b)(1 - x)^exponent`.
    """

    doc: str
    example: str
    formula: str
    between: Callable[[Fraction, Fraction, Fraction], Fraction] | None = None
    #: unset: its argument `power`
    exponent: int | None = None
    arguments: tuple[str, ...] = ()
    #: whether it takes a while; else it is `b` throughout
    moves: bool = True
    #: whether both values must be greater than zero
    above_zero: bool = False


#: `x` goes from 0 to 1 over the window
SHAPES: dict[str, Shape] = {
    "constant": Shape("one value over the whole window", "constant(5%, over = 0..2 epochs)", "b", moves=False),
    "step": Shape("jumps at one time, given by `at`", "step(0% -> 90%, at = 2 epochs)", "b", moves=False),
    "linear": Shape("changes at a constant rate", "linear(8e-5 -> 0, over = start..end)", "a + (b - a) x", exponent=1),
    "cosine": Shape(
        "slow at both ends: half a cosine wave",
        "cosine(1e-4 -> 0, over = start..end)",
        "b + (a - b) (1 + cos πx) / 2",
        lambda a, b, x: b + (a - b) * (1 + _cosine(x)) / 2,
    ),
    "exponential": Shape(
        "multiplies by a constant factor per unit of time; both values must be greater than zero",
        "exponential(1e-3 -> 1e-5, over = start..end)",
        "a (b / a)^x",
        lambda a, b, x: a * _power(b / a, x),
        above_zero=True,
    ),
    "polynomial": Shape(
        "fast first, then slow; a larger `power` strengthens this",
        "polynomial(1e-4 -> 0, power = 2, over = start..end)",
        "b + (a - b) (1 - x)^power",
        arguments=("power",),
    ),
    "cubic": Shape(
        "`polynomial` with power 3, the usual shape of gradual pruning (Zhu & Gupta, arXiv 1710.01878)",
        "cubic(70% -> 90%, over = 10%..90%, updates = 10 per epoch)",
        "b + (a - b) (1 - x)^3",
        exponent=3,
    ),
}


def exponent(shape: str, power: Fraction | None) -> Fraction | int:
    """Of a shape that is a power of the rest of the way."""
    return SHAPES[shape].exponent or power or 1


def value(shape: str, a: Fraction, b: Fraction, x: Fraction, power: Fraction | None = None) -> Fraction:
    """`a` at x = 0 and `b` at x = 1, except of a shape that does not move, which is `b` throughout; x is clamped.

    >>> value("cubic", Fraction(7, 10), Fraction(9, 10), Fraction(1, 2))
    Fraction(7, 8)
    >>> value("cosine", Fraction(0), Fraction(1), Fraction(1, 2))
    Fraction(1, 2)
    """
    its = SHAPES[shape]
    x = min(max(x, Fraction(0)), Fraction(1))
    if not its.moves or x == 1:
        return b
    if x == 0:
        return a
    if its.between is not None:
        return its.between(a, b, x)
    return b + (a - b) * _power(1 - x, Fraction(exponent(shape, power)))


def is_cheap(shape: str, power: Fraction | None = None) -> bool:
    """Whether values are fractions of few digits."""
    its = SHAPES[shape]
    return not its.moves or (its.between is None and exponent(shape, power) in (1, 2, 3, 4))


def values(
    shape: str, a: Fraction, b: Fraction, ways: Iterable[int], whole: int, power: Fraction | None = None
) -> Iterator[Fraction]:
    """`value` at each of the shares `way / whole`, all between 0 and 1, with one denominator for all.

    >>> [str(v) for v in values("cubic", Fraction(1, 2), Fraction(9, 10), (0, 5, 10), 10)]
    ['1/2', '17/20', '9/10']
    """
    if not is_cheap(shape, power) or not SHAPES[shape].moves:
        yield from (value(shape, a, b, Fraction(way, whole), power) for way in ways)
        return
    n = int(exponent(shape, power))
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
