"""Means, spreads and intervals, against values that can be looked up or worked out by hand."""

import math

import pytest

from recipelang.study.statistics import paired, spread, t_quantile


# the 97.5 % column of any printed table of Student's distribution
@pytest.mark.parametrize(
    ("freedom", "t"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (20, 2.086), (30, 2.042), (120, 1.980)],
)
def test_quantiles_are_those_of_the_tables(freedom, t):
    assert round(t_quantile(freedom), 3) == t


def test_quantiles_of_another_share():
    assert round(t_quantile(4, 0.99), 3) == 4.604
    assert round(t_quantile(1, 0.5), 3) == 1.0


def test_deviation_divides_by_one_less():
    found = spread([2.0, 4.0, 6.0])
    assert found is not None
    assert (found.n, found.mean, found.sd) == (3, 4.0, 2.0)


def test_one_value_has_no_deviation_and_no_interval():
    assert spread([3.0]).sd is None
    one = paired({1: 3.0}, {1: 1.0})
    assert (one.n, one.mean, one.sd, one.low, one.high) == (1, 2.0, None, None, None)
    assert spread([]) is None and paired({1: 3.0}, {2: 1.0}) is None


def test_difference_is_taken_seed_by_seed_over_the_seeds_that_both_have():
    found = paired({1: 5.0, 2: 9.0, 3: 4.0, 9: 100.0}, {1: 4.0, 2: 7.0, 3: 1.0, 8: 0.0})
    assert (found.n, found.mean, found.sd) == (3, 2.0, 1.0)
    half = 4.302652729911275 / math.sqrt(3)
    assert found.low == pytest.approx(2 - half) and found.high == pytest.approx(2 + half)
