"""Wanda and SparseGPT against small dense references, written from the published formulas in float64."""

from __future__ import annotations

import itertools

import pytest
import torch

from recipelang.methods import METHODS
from recipelang.modifiers.prune import make
from recipelang.pruning.inputs import Gram, Squares
from recipelang.pruning.scores import Select, sparsegpt
from recipelang.source import RecipeError

ROWS, COLUMNS, TOKENS = 6, 16, 200
#: every method that looks at inputs, one that is added too
LOOKING = [m.name for m in METHODS.values() if m.looks_at == "inputs"]


@pytest.fixture
def layer():
    """A weight and inputs whose columns are correlated and of unlike size."""
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn(ROWS, COLUMNS, generator=generator)
    mix = torch.randn(COLUMNS, COLUMNS, generator=generator) * torch.logspace(-1, 1, COLUMNS)
    return weight, torch.randn(TOKENS, COLUMNS, generator=generator) @ mix


def gathered(kind, inputs, parts=3):
    found = kind.empty(inputs.shape[1], inputs.device)
    for part in inputs.tensor_split(parts):
        found.add(part)
    assert found.tokens == len(inputs)
    return found


def fit(method, weight, inputs, zeros, select, live=None, **args):
    score = make(method, args, ["w"], 0)
    parameter = torch.nn.Parameter(weight.clone())
    live = torch.ones_like(weight, dtype=torch.bool) if live is None else live
    parameter.data.mul_(live)
    keep = score.fit(parameter, gathered(score.gathers, inputs), zeros, live, select)
    return parameter.detach() * keep, keep


def lost(old, new, inputs):
    """‖XW - XŴ‖² of a layer's outputs."""
    return float(((inputs.double() @ (old - new).double().T) ** 2).sum())


# ------------------------------------------------------------------------------ wanda
def test_wanda_drops_the_smallest_of_each_row(layer):
    weight, inputs = layer
    _, keep = fit("wanda", weight, inputs, ROWS * 8, Select("unstructured", (0, 0), "row"))
    for row in range(ROWS):
        scores = [abs(float(weight[row, j])) * sum(float(x) ** 2 for x in inputs[:, j]) ** 0.5 for j in range(COLUMNS)]
        dropped = sorted(range(COLUMNS), key=scores.__getitem__)[:8]
        assert sorted(dropped) == [j for j in range(COLUMNS) if not keep[row, j]]


def test_wanda_leaves_what_stays_alone_and_is_magnitude_for_inputs_of_one_size(layer):
    weight, _ = layer
    new, keep = fit("wanda", weight, torch.ones(5, COLUMNS), 48, Select("unstructured", (0, 0), "uniform"))
    assert torch.equal(new, weight * keep)
    assert float(weight.abs()[~keep].max()) < float(weight.abs()[keep].min())


# -------------------------------------------------------------------------- sparsegpt
def hessian(inputs, damp):
    h = inputs.double().T @ inputs.double()
    return h + damp * float(h.diagonal().mean()) * torch.eye(len(h), dtype=torch.float64)


def reference(weight, inputs, damp, block, choose):
    """Column by column, with the inverse of what is left of H taken anew each time: no Cholesky, no blocks of updates.

    `choose(scores, first)` gives the mask of the columns from `first`, of those that are decided there, or none.
    """
    w = weight.double().clone()
    h = hessian(inputs, damp)
    keep = torch.ones_like(w, dtype=torch.bool)
    for j in range(COLUMNS):
        inverse = torch.linalg.inv(h[j:, j:])  # columns left of j are settled
        if (j % block) == 0:
            until = min(j + block, COLUMNS)
            # what [H⁻¹]_kk will be when column k is reached, of all columns of the block
            diagonal = torch.stack([torch.linalg.inv(h[k:, k:])[0, 0] for k in range(j, until)])
            keep[:, j:until] = choose(w[:, j:until] ** 2 / diagonal)
        for row in range(ROWS):
            if not keep[row, j]:
                w[row, j:] -= w[row, j] / inverse[0, 0] * inverse[0]
                w[row, j] = 0.0
    return w, keep


def halves(score):
    """Half of a block of columns, all rows together."""
    flat = score.flatten()
    keep = torch.ones_like(flat, dtype=torch.bool)
    keep[flat.argsort()[: len(flat) // 2]] = False
    return keep.view(score.shape)


def two_of_four(score):
    keep = torch.ones_like(score, dtype=torch.bool)
    for row in range(len(score)):
        keep[row, score[row].argsort()[:2]] = False
    return keep


@pytest.mark.parametrize("damp", [0.01, 0.3])
@pytest.mark.parametrize("block", [4, 8, 16])
def test_sparsegpt_equals_the_reference(layer, block, damp):
    weight, inputs = layer
    select = Select("unstructured", (0, 0), "uniform")
    new, keep = fit("sparsegpt", weight, inputs, 48, select, block=block, damp=damp)
    wanted, mask = reference(weight, inputs, damp, block, halves)
    assert torch.equal(keep, mask)
    torch.testing.assert_close(new.double(), wanted, rtol=1e-5, atol=1e-5)
    assert int((new == 0).sum()) == 48


def test_groups_of_a_pattern_are_decided_one_by_one(layer):
    weight, inputs = layer
    select = Select("N:M", (2, 4), "uniform")
    new, keep = fit("sparsegpt", weight, inputs, 48, select, block=8, damp=0.01)
    wanted, mask = reference(weight, inputs, 0.01, 4, two_of_four)
    assert torch.equal(keep, mask)
    torch.testing.assert_close(new.double(), wanted, rtol=1e-5, atol=1e-5)


def test_no_other_weights_right_of_a_single_zero_do_better(layer):
    """With one weight gone, the others right of it are the least squares answer (but for the damping)."""
    weight, inputs = layer
    upper = sparsegpt.factor(inputs.double().T @ inputs.double(), 1e-9)
    live = torch.ones_like(weight, dtype=torch.bool)

    def only(score, zeros, live):
        keep = torch.ones_like(live)
        keep[0, 5] = False
        return keep

    only.group, only.unit = 0, 1
    new, _ = sparsegpt.prune(weight.double(), upper, 1, live, only, block=16)
    x = inputs.double()
    target = x[:, 5] * weight[0, 5].double()  # what the weight gave, to be given by columns right of it
    best = torch.linalg.lstsq(x[:, 6:], target[:, None]).solution[:, 0]
    torch.testing.assert_close(new[0, 6:] - weight[0, 6:].double(), best, rtol=1e-5, atol=1e-5)
    assert torch.equal(new[0, :5], weight[0, :5].double()) and torch.equal(new[1:], weight[1:].double())


def test_sparsegpt_loses_less_than_wanda_and_wanda_less_than_magnitude(layer):
    weight, inputs = layer
    select = Select("unstructured", (0, 0), "uniform")
    ours, _ = fit("sparsegpt", weight, inputs, 48, select, block=16)
    theirs, _ = fit("wanda", weight, inputs, 48, select)
    largest = weight * halves(weight.abs())
    assert lost(weight, ours, inputs) < lost(weight, theirs, inputs) < lost(weight, largest, inputs)


@pytest.mark.parametrize(("zeros", "block"), [(0, 4), (1, 4), (37, 5), (95, 16), (96, 4)])
def test_counts_are_exact_whatever_the_blocks(layer, zeros, block):
    weight, inputs = layer
    _, keep = fit("sparsegpt", weight, inputs, zeros, Select("unstructured", (0, 0), "uniform"), block=block)
    assert int((~keep).sum()) == zeros


@pytest.mark.parametrize("method", LOOKING)
def test_tiles_go_as_wholes(layer, method):
    weight, inputs = layer
    if "block" in METHODS[method].patterns:
        width = {"block": 8} if any(a.name == "block" for a in METHODS[method].arguments) else {}
        _, keep = fit(method, weight, inputs, 48, Select("block", (2, 4), "uniform"), **width)
        tiles = keep.view(3, 2, 4, 4).sum((1, 3))
        assert int((~keep).sum()) == 48 and set(tiles.flatten().tolist()) == {0, 8}


def test_weights_that_are_masked_stay_so_and_count(layer):
    """An earlier mask may hold more of a block than its share: the others give way."""
    weight, inputs = layer
    live = torch.ones_like(weight, dtype=torch.bool)
    live[:, :4] = False  # all of the first block of four: 24 of the 48
    select = Select("unstructured", (0, 0), "uniform")
    new, keep = fit("sparsegpt", weight, inputs, 48, select, live, block=4)
    assert not bool(keep[:, :4].any()) and int((~keep).sum()) == 48
    assert not bool(new[:, :4].any())


def test_shares_add_up_and_keep_their_floors():
    for zeros, widths, floors in itertools.product(
        range(0, 41, 5), ([16, 16, 8], [40], [7, 33]), ([0, 0, 0], [4, 1, 0])
    ):
        floors = floors[: len(widths)]
        if sum(floors) <= zeros:
            found = sparsegpt.shares(zeros, widths, floors)
            assert sum(found) == zeros
            assert all(floor <= n <= width for n, floor, width in zip(found, floors, widths, strict=True))


def test_input_that_is_always_zero_stands_alone(layer):
    """No other weight makes up for it; damping is all it costs. Where all are zero, magnitude decides."""
    weight, inputs = layer
    inputs = inputs.clone()
    inputs[:, 3] = 0.0
    gram = inputs.double().T @ inputs.double()
    upper = sparsegpt.factor(gram, 0.01)
    assert not bool(upper[3, 4:].any()) and not bool(upper[:3, 3].any())
    torch.testing.assert_close(upper[3, 3] ** -2, 0.01 * gram.diagonal().mean())
    dead, _ = fit("sparsegpt", weight, torch.zeros(4, COLUMNS), 48, Select("unstructured", (0, 0), "uniform"))
    torch.testing.assert_close(dead, weight * halves(weight.abs()))


@pytest.mark.parametrize("method", LOOKING)
def test_an_expert_that_no_token_reached_is_pruned_by_magnitude(layer, method):
    weight, inputs = layer
    new, keep = fit(method, weight, inputs[:0], 48, Select("unstructured", (0, 0), "uniform"))
    assert torch.equal(keep, halves(weight.abs())) and torch.equal(new, weight * keep)


def test_too_few_tokens_for_the_damping_are_an_error(layer):
    weight, inputs = layer
    with pytest.raises(RecipeError) as refused:
        fit("sparsegpt", weight, inputs[:2], 48, Select("unstructured", (0, 0), "uniform"), damp=1e-30)
    assert refused.value.diagnostics[0].code == "E078"
    with pytest.raises(RecipeError) as refused:
        fit("sparsegpt", weight, inputs * float("nan"), 48, Select("unstructured", (0, 0), "uniform"))
    assert refused.value.diagnostics[0].code == "E082"


def test_sums_are_those_of_all_tokens_in_half_precision_too(layer):
    _, inputs = layer
    half = inputs.bfloat16()
    x = half.double()
    torch.testing.assert_close(gathered(Squares, half).sums, (x**2).sum(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(gathered(Gram, half).sums.double(), x.T @ x, rtol=1e-5, atol=1e-2)


def test_the_factor_takes_the_place_of_its_matrix_and_keeps_the_bits():
    x = torch.randn(90, 33, generator=torch.Generator().manual_seed(1))
    gram = x.T @ x
    h = gram.double()
    h.diagonal().add_(0.01 * float(h.diagonal().mean()))
    lower = torch.linalg.cholesky(h)
    upper = sparsegpt.factor(gram, 0.01)
    assert torch.equal(upper, torch.linalg.cholesky(torch.cholesky_inverse(lower), upper=True))
    assert upper.untyped_storage().nbytes() == 33 * 33 * 8
    assert torch.equal(gram, x.T @ x)


@pytest.mark.parametrize("method", LOOKING)
@pytest.mark.parametrize("odd", [float("inf"), float("nan")])
def test_inputs_that_are_not_finite_rank_nothing(layer, method, odd):
    weight, inputs = layer
    inputs = inputs.clone()
    inputs[3, 5] = odd
    with pytest.raises(RecipeError, match="E082]: the inputs of a layer are not finite"):
        fit(method, weight, inputs, 48, Select("unstructured", (0, 0), "uniform"))
