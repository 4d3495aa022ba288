"""OWL against a plain reference in double precision, written from the formula; and what rounding and bounds leave."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
import torch

from recipelang.pruning import owl, patterns
from recipelang.pruning.scores.wanda import score


def matrices(seed: int):
    """Three layers of two matrices with the sums of squares of their inputs; the outliers of each lie elsewhere."""
    make = torch.Generator().manual_seed(seed)
    layers = []
    for number in range(3):
        shapes = ((6, 8), (10, 6 + 2 * number))
        weights = [
            torch.randn(shape, generator=make) * (1 + 4 * (torch.rand(shape, generator=make) < 0.1)) for shape in shapes
        ]
        squares = [torch.rand(shape[1], generator=make, dtype=torch.float64) * 10**number for shape in shapes]
        layers.append(list(zip(weights, squares, strict=True)))
    return layers


def reference(layers, m: float, sparsity: float, far: float) -> list[float]:
    """S_l = S - λ (D_l - D) / max |D_k - D|, D_l the share of |w| ‖x‖ above m times their mean in the layer."""
    shares, sizes = [], []
    for layer in layers:
        found = np.concatenate([(w.double().abs() * s.sqrt()[None, :]).numpy().reshape(-1) for w, s in layer])
        shares.append(float((found > m * found.mean()).mean()))
        sizes.append(found.size)
    mean = float(np.average(shares, weights=sizes))
    worst = max(abs(d - mean) for d in shares)
    return [sparsity - far * (d - mean) / worst for d in shares]


@pytest.mark.parametrize("seed", range(5))
def test_shares_of_layers_are_those_of_the_formula(seed):
    layers = matrices(seed)
    found = [owl.outliers([lambda w=w, s=s: score(w, s) for w, s in layer], 3.0) for layer in layers]
    sizes = [sum(w.numel() for w, _ in layer) for layer in layers]
    shares = owl.sparsities(found, sizes, Fraction(7, 10), Fraction(8, 100))
    np.testing.assert_allclose([float(s) for s in shares], reference(layers, 3.0, 0.7, 0.08), rtol=1e-12)
    assert sum(s * n for s, n in zip(shares, sizes, strict=True)) == Fraction(7, 10) * sum(sizes)
    assert max(abs(s - Fraction(7, 10)) for s in shares) == Fraction(8, 100)
    assert shares.index(min(shares)) == found.index(max(found))


def test_without_a_difference_every_layer_has_the_sparsity_asked_for():
    assert owl.sparsities([Fraction(1, 9)] * 3, [4, 5, 6], Fraction(1, 2), Fraction(1, 10)) == [Fraction(1, 2)] * 3


def test_counts_are_whole_within_bounds_and_add_up():
    draw = random.Random(0)
    for _ in range(300):
        sizes = [draw.randint(1, 40) for _ in range(draw.randint(1, 9))]
        least = [draw.randint(0, n) if draw.random() < 0.3 else 0 for n in sizes]
        wanted = [Fraction(n) * draw.randint(0, 100) / 100 for n in sizes]
        total = min(sum(sizes), max(sum(least), round(sum(wanted))))
        found = owl.spread(total, wanted, least, sizes)
        assert sum(found) == total
        assert all(low <= n <= high for low, n, high in zip(least, found, sizes, strict=True))
        if not any(least):
            assert all(abs(n - w) < 1 for n, w in zip(found, wanted, strict=True))


def test_bounds_that_leave_no_room_are_said():
    with pytest.raises(ValueError, match="no room"):
        owl.spread(9, [Fraction(4), Fraction(4)], [0, 0], [4, 4])


def test_some_rows_have_one_zero_more_where_it_costs_least():
    make = torch.Generator().manual_seed(1)
    scores = torch.rand(7, 12, generator=make)
    keep = patterns.choose(
        "unstructured", (0, 0), "row", [lambda: scores.view(-1)], [7 * 4 + 3], [torch.ones(7, 12, dtype=torch.bool)]
    )[0]
    zeros = (~keep).sum(1)
    fifth = scores.sort(1).values[:, 4]
    cheapest = set(fifth.argsort()[:3].tolist())
    assert {i for i, n in enumerate(zeros.tolist()) if n == 5} == cheapest
    for row, n in enumerate(zeros.tolist()):
        gone = set(scores[row].argsort()[:n].tolist())
        assert gone == {j for j in range(12) if not keep[row, j]} and n in (4, 5)


def test_a_row_that_is_masked_further_already_is_among_those():
    live = torch.ones(3, 6, dtype=torch.bool)
    live[2, :3] = False
    scores = torch.rand(3, 6, generator=torch.Generator().manual_seed(0))
    keep = patterns.choose("unstructured", (0, 0), "row", [lambda: scores.view(-1)], [7], [live.clone()])[0]
    assert (~keep).sum(1).tolist() == [2, 2, 3] and not bool((keep & ~live).any())
