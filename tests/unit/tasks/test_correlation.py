"""Pearson's and Spearman's correlation, against fractions and against figures worked out by hand."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from recipelang.tasks.correlation import pearson, ranks, spearman


def exact(x: list[Fraction], y: list[Fraction]) -> float:
    """Pearson's by its definition, in fractions but for the last root."""
    mx, my = sum(x) / Fraction(len(x)), sum(y) / Fraction(len(y))
    together = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    apart = sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y)
    return float(together) / math.sqrt(apart)


def exact_ranks(values: np.ndarray) -> list[Fraction]:
    return [
        Fraction(sum(bool(v < x) for v in values)) + Fraction(sum(bool(v == x) for v in values) + 1, 2) for x in values
    ]


@pytest.mark.parametrize("seed", range(6))
def test_both_are_what_their_definitions_give_ties_included(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.integers(0, 7, 41) / 8
    y = np.where(random.random(41) < 0.5, x, random.integers(0, 5, 41) / 4)
    fractions = [[Fraction(v) for v in each] for each in (x.tolist(), y.tolist())]
    assert pearson(x, y) == pytest.approx(exact(*fractions), abs=1e-15)
    assert ranks(x).tolist() == [float(r) for r in exact_ranks(x)]
    assert spearman(x, y) == pytest.approx(exact(exact_ranks(x), exact_ranks(y)), abs=1e-15)


def test_figures_worked_out_by_hand() -> None:
    x, y = np.array([1.0, 2.0, 2.0, 4.0]), np.array([10.0, 30.0, 20.0, 40.0])
    assert ranks(x).tolist() == [1, 2.5, 2.5, 4]
    # ranks less 2.5: -1.5 0 0 1.5 and -1.5 .5 -.5 1.5; together 4.5, squares 4.5 and 5
    assert spearman(x, y) == pytest.approx(4.5 / math.sqrt(4.5 * 5), abs=1e-15)


def test_what_rises_alike_is_one_and_the_other_way_minus_one() -> None:
    x = np.linspace(-3, 5, 1001)
    assert (spearman(x, np.exp(x)), spearman(x, -(x**3))) == (1.0, -1.0)
    assert (pearson(x, x), pearson(x, -x)) == (1.0, -1.0)
    assert pearson(x, np.exp(x)) < 0.9  # type: ignore[operator]


def test_neither_hangs_on_the_order_of_items() -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=500), random.normal(size=500)
    order = random.permutation(500)
    assert pearson(x, y) == pearson(x[order], y[order])
    assert spearman(x, y) == spearman(x[order], y[order])


@pytest.mark.parametrize(
    "constant", [[0.1] * 7, [0.0] * 7, [1e300] * 7, [5e-324] * 7, [-3.0] * 7, [np.float32(0.7)] * 7]
)
def test_a_constant_series_has_no_correlation(constant: list[float]) -> None:
    other = np.arange(7.0)
    for x, y in itertools.permutations([np.array(constant), other]):
        assert pearson(x, y) is None
        assert spearman(x, y) is None


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-160, 1e160, 1e300])
def test_sizes_neither_overflow_nor_vanish(scale: float) -> None:
    x = np.array([1.0, 2.0, 4.0, 3.0]) * scale
    assert pearson(x, np.array([1.0, 2.0, 4.0, 3.0])) == pytest.approx(1, abs=1e-15)


def test_the_least_difference_of_numbers_counts() -> None:
    x = np.array([0.1, np.nextafter(0.1, 1), 0.1])
    assert pearson(x, np.array([0.0, 1.0, 0.0])) == pytest.approx(1, abs=1e-15)
    assert pearson(1 + 0 * x, x) is None


@pytest.mark.parametrize("items", [0, 1])
def test_fewer_than_two_items_have_none(items: int) -> None:
    assert pearson(np.zeros(items), np.ones(items)) is None


def test_series_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="3 numbers against 4"):
        pearson(np.arange(3.0), np.arange(4.0))
