"""From a sparsity to exact numbers of zeros, per ranking set, for every scope and pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

from recipelang.schedules.shapes import value

Shape = tuple[int, ...]


def over_time(
    pattern: str,
    size: tuple[int, int],
    scope: str,
    shapes: Sequence[Shape],
    sparsities: Sequence[Fraction],
    *,
    rises: bool = True,
) -> list[tuple[int, ...]]:
    """`zeros` at every event; of a schedule that `rises` no tensor's count ever falls, whatever rounding would do."""
    out: list[tuple[int, ...]] = []
    before: tuple[int, int] | None = None
    flat = matrices(shapes)
    groups = _groups(pattern, size, flat)
    stacked = any(len(shape) > 2 for shape in shapes)
    for sparsity in sparsities:
        if (ratio := sparsity.as_integer_ratio()) != before:  # all of them are, but for a schedule that is constant
            now = _zeros(pattern, size, scope, flat, groups, sparsity)
            if stacked:
                now = _of_stacks(now, shapes)
            if out and scope == "erk" and rises:
                now = _not_below(out[-1], now)
        before = ratio
        out.append(out[-1] if out and list(out[-1]) == now else tuple(now))
    return out


def matrices(shapes: Sequence[Shape]) -> list[Shape]:
    """Of a stack of experts [experts, outputs, inputs] every expert is a matrix of its own.

    >>> matrices([(4, 8), (2, 4, 8)])
    [(4, 8), (4, 8), (4, 8)]
    """
    return [shape[-2:] for shape in shapes for _ in range(shape[0] if len(shape) > 2 else 1)]


def _of_stacks(numbers: list[int], shapes: Sequence[Shape]) -> list[int]:
    """From a number for each matrix to one for each tensor; one for all of them stays."""
    if len(numbers) == 1 or all(len(shape) < 3 for shape in shapes):
        return numbers
    each = iter(numbers)
    return [sum(next(each) for _ in range(shape[0] if len(shape) > 2 else 1)) for shape in shapes]


def _not_below(before: Sequence[int], now: Sequence[int]) -> list[int]:
    """The same total, each count at least what it was: what is added is taken from those that rose most."""
    raised = [max(b, n) for b, n in zip(before, now, strict=True)]
    excess = sum(raised) - sum(now)
    for i in sorted(range(len(raised)), key=lambda i: (before[i] - raised[i], i)):
        taken = min(excess, raised[i] - before[i])
        raised[i] -= taken
        excess -= taken
    return raised


def zeros(pattern: str, size: tuple[int, int], scope: str, shapes: Sequence[Shape], sparsity: Fraction) -> list[int]:
    """How many weights become zero: one number per tensor, or one for all with `global` and `owl`.

    Counts are `round_half_even(sparsity × n)` of whole groups: n counts blocks for a block pattern and
    the weights of a row for `row`. Of an N:M pattern all groups change at once.

    >>> zeros("unstructured", (0, 0), "uniform", [(4, 4), (2, 4)], Fraction(1, 2))
    [8, 4]
    >>> zeros("block", (2, 2), "global", [(4, 4), (2, 4)], Fraction(1, 2))
    [12]
    """
    flat = matrices(shapes)
    return _of_stacks(_zeros(pattern, size, scope, flat, _groups(pattern, size, flat), sparsity), shapes)


def _groups(pattern: str, size: tuple[int, int], shapes: Sequence[Shape]) -> list[int]:
    """How many weights, or blocks of them, each tensor has."""
    area = size[0] * size[1] if pattern == "block" else 1
    return [_count(shape) // area for shape in shapes]


def _zeros(
    pattern: str, size: tuple[int, int], scope: str, shapes: Sequence[Shape], groups: list[int], sparsity: Fraction
) -> list[int]:
    area = size[0] * size[1] if pattern == "block" else 1
    if pattern == "N:M":
        share = 1 - Fraction(*size)
        return [int(share * n) if sparsity else 0 for n in groups]
    match scope:
        case "global" | "owl":
            return [_share(sparsity, sum(groups)) * area]
        case "row":
            return [shape[0] * _share(sparsity, n // shape[0]) for shape, n in zip(shapes, groups, strict=True)]
        case "erk":
            return [n * area for n in erk(shapes, groups, sparsity)]
    of: dict[int, int] = {}  # few sizes, many tensors
    for n in groups:
        if n not in of:
            of[n] = _share(sparsity, n) * area
    return [of[n] for n in groups]


def _share(sparsity: Fraction, n: int) -> int:
    """`round(sparsity * n)`, half to even, without fractions in between: a plan may count very often.

    >>> _share(Fraction(1, 2), 5), _share(Fraction(1, 2), 7), _share(Fraction(1, 3), 5)
    (2, 4, 2)
    """
    numerator, denominator = sparsity.as_integer_ratio()
    whole, rest = divmod(numerator * n, denominator)
    rest *= 2
    return whole + (rest > denominator or (rest == denominator and whole % 2))


def grown(
    pattern: str,
    size: tuple[int, int],
    scope: str,
    shapes: Sequence[Shape],
    zeros: Sequence[int],
    fraction: Fraction,
    at: Fraction,
) -> tuple[int, ...]:
    """How many of the weights that live after an event grow at it: RigL's α/2 (1 + cos πx) of them, whole groups.

    Args:
        zeros: of each tensor, after the event.
        fraction: α.
        at: x, the share of the way from the first event to the last.

    >>> grown("unstructured", (0, 0), "uniform", [(4, 4)], [8], Fraction(1, 2), Fraction(0))
    (4,)
    >>> grown("unstructured", (0, 0), "row", [(4, 4)], [8], Fraction(1, 2), Fraction(1, 2))
    (0,)
    """
    share = value("cosine", fraction, Fraction(0), at)
    area = size[0] * size[1] if pattern == "block" else 1
    unit = [_count(shape[:-1]) if scope == "row" else area for shape in shapes]
    live = ((_count(shape) - n) // u for shape, n, u in zip(shapes, zeros, unit, strict=True))
    return tuple(round(share * n) * u for n, u in zip(live, unit, strict=True))


def erk(shapes: Sequence[Shape], groups: Sequence[int], sparsity: Fraction) -> list[int]:
    """Erdős-Rényi: density of a tensor in proportion to (out + in) / (out · in), none above 1 (arXiv 1911.11134).

    What tensors at density 1 cannot take, the others share. The counts add up to the rounded total
    exactly; what rounding leaves goes to the largest remainders, the first of equal ones.
    """
    total = round(sparsity * sum(groups))
    # in whole numbers over one denominator: a plan may count very often
    unit = lcm(*map(_count, shapes))
    ratio = [sum(shape) * (unit // _count(shape)) for shape in shapes]
    full: set[int] = set()
    while True:
        rest = [i for i in range(len(shapes)) if i not in full]
        kept = sum(groups) - total - sum(groups[i] for i in full)
        raw = sum(ratio[i] * groups[i] for i in rest)
        if not raw:
            kept, raw = 0, 1
        over = {i for i in rest if ratio[i] * kept > raw}
        if not over:
            break
        full |= over
    parts = [divmod(0 if i in full else n * (raw - ratio[i] * kept), raw) for i, n in enumerate(groups)]
    counts = [whole for whole, _ in parts]
    by_remainder = sorted(range(len(shapes)), key=lambda i: (-parts[i][1], i))
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts


def _count(shape: Shape) -> int:
    n = 1
    for d in shape:
        n *= d
    return n
