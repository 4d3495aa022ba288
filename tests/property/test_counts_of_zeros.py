"""Counts of zeros: exact totals, monotone in the sparsity, within every tensor."""

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from recipelang.planning.counts import erk, zeros

shapes = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=6)
sparsities = st.fractions(0, 1, max_denominator=200)


@given(shapes, sparsities)
def test_erk_meets_the_total_exactly_and_fits_every_tensor(sizes, sparsity):
    groups = [r * c for r, c in sizes]
    counts = erk(sizes, groups, sparsity)
    assert sum(counts) == round(sparsity * sum(groups))
    assert all(0 <= n <= g for n, g in zip(counts, groups, strict=True))


@given(shapes, sparsities, sparsities)
def test_erk_rises_with_the_sparsity_up_to_rounding(sizes, a, b):
    groups = [r * c for r, c in sizes]
    low, high = erk(sizes, groups, min(a, b)), erk(sizes, groups, max(a, b))
    assert all(x <= y + 1 for x, y in zip(low, high, strict=True))


def test_erk_keeps_small_tensors_denser():
    sizes = [(100, 100), (400, 400)]
    counts = erk(sizes, [10_000, 160_000], Fraction(9, 10))
    dense = [1 - n / g for n, g in zip(counts, [10_000, 160_000], strict=True)]
    assert dense[0] / dense[1] == pytest.approx(4, rel=1e-3)  # (200/10000) / (800/160000)


@given(shapes, sparsities)
def test_uniform_global_and_rows_round_half_to_even(sizes, sparsity):
    groups = [r * c for r, c in sizes]
    assert zeros("unstructured", (0, 0), "uniform", sizes, sparsity) == [round(sparsity * g) for g in groups]
    assert zeros("unstructured", (0, 0), "global", sizes, sparsity) == [round(sparsity * sum(groups))]
    assert zeros("unstructured", (0, 0), "row", sizes, sparsity) == [r * round(sparsity * c) for r, c in sizes]


@pytest.mark.parametrize(("size", "share"), [((2, 4), "1/2"), ((1, 4), "3/4"), ((4, 8), "1/2")])
def test_n_of_m_is_its_own_sparsity_or_none(size, share):
    assert zeros("N:M", size, "uniform", [(6, 16)], Fraction(share)) == [int(96 * Fraction(share))]
    assert zeros("N:M", size, "uniform", [(6, 16)], Fraction(0)) == [0]


@given(sparsities)
def test_blocks_are_counted_whole(sparsity):
    (count,) = zeros("block", (4, 2), "uniform", [(8, 8)], sparsity)
    assert count == round(sparsity * 8) * 8
