"""ALPS against a reference in double precision that is written from the published formulas."""

from __future__ import annotations

import pytest
import torch

from recipelang.modifiers.prune import make
from recipelang.pruning.inputs import Gram
from recipelang.pruning.scores import Select, alps
from recipelang.source import RecipeError

ROWS, COLUMNS, TOKENS = 24, 32, 400
TENSOR, ROW = Select("unstructured", (0, 0), "uniform"), Select("unstructured", (0, 0), "row")
GROUPS, TILES = Select("N:M", (2, 4), "uniform"), Select("block", (2, 4), "uniform")


def layer(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight, and inputs that are correlated and of unlike sizes."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(COLUMNS, COLUMNS, generator=generator) * torch.logspace(-0.5, 0.5, COLUMNS)
    mix = mix[:, torch.randperm(COLUMNS, generator=generator)]
    return torch.randn(ROWS, COLUMNS, generator=generator), torch.randn(TOKENS, COLUMNS, generator=generator) @ mix


def fit(method, weight, inputs, zeros, select, live=None, **args):
    score = make(method, args, ["w"], 0)
    parameter = torch.nn.Parameter(weight.clone())
    live = torch.ones_like(weight, dtype=torch.bool) if live is None else live
    parameter.data.mul_(live)
    gathered = score.gathers.empty(inputs.shape[1], inputs.device)
    gathered.add(inputs)
    keep = score.fit(parameter, gathered, zeros, live, select)
    return parameter.detach() * keep, keep


def lost(old, new, inputs) -> float:
    """‖XW - XŴ‖² of a layer's outputs."""
    return float(((inputs.double() @ (old.double() - new.double()).T) ** 2).sum())


# -------------------------------------------------------------------------- reference
def kept(matrix, select, zeros):
    """1 where a weight is among the largest."""
    size = matrix.abs()
    if select is ROW:
        sets, going = size, zeros // ROWS
    elif select is GROUPS:
        sets, going = size.reshape(-1, 4), 2
    else:
        sets, going = size.reshape(1, -1), zeros
    mask = torch.ones_like(sets)
    mask.scatter_(1, sets.argsort(1)[:, :going], 0.0)
    return mask.view(matrix.shape)


def reference(weight, inputs, select, zeros, damp, penalty, iterations):
    """D, V and W as the paper has them, with the inverse taken anew each time, then exact least squares on the support."""
    x, dense = inputs.double(), weight.double()
    h = x.T @ x
    h = h + damp * h.diagonal().mean() * torch.eye(COLUMNS, dtype=torch.float64)
    e = torch.diag(h.diagonal() ** -0.5)
    h, dense = e @ h @ e, dense @ torch.linalg.inv(e)
    d, v, rho = dense, torch.zeros_like(dense), penalty
    support = before = kept(dense, select, zeros)
    d = d * support
    count = support.numel() - zeros
    for t in range(1, iterations + 1):
        w = (dense @ h - v + rho * d) @ torch.linalg.inv(h + rho * torch.eye(COLUMNS, dtype=torch.float64))
        support = kept(w + v / rho, select, zeros)
        d = support * (w + v / rho)
        v = v + rho * (w - d)
        if t % 3 == 0:
            moved = int((support != before).sum())
            if moved == 0:
                break
            rho *= 1.3 if moved >= 0.1 * count else 1.2 if moved >= 0.005 * count else 1.1
            before = support
    found = torch.zeros_like(dense)
    for row in range(ROWS):
        s = support[row].bool()
        found[row, s] = torch.linalg.solve(h[s][:, s], (dense @ h)[row, s])
    return d @ e, found @ e, support.bool(), t


@pytest.mark.parametrize("select", [TENSOR, ROW, GROUPS])
@pytest.mark.parametrize(("damp", "penalty"), [(0.01, 0.1), (0.2, 0.5)])
@pytest.mark.parametrize("seed", [0, 1])
def test_alps_equals_the_reference(select, damp, penalty, seed):
    weight, inputs = layer(seed)
    zeros = ROWS * 16
    args = {"damp": damp, "penalty": penalty}
    new, keep = fit("alps", weight, inputs, zeros, select, refinements=200, **args)
    _, wanted, mask, rounds = reference(weight, inputs, select, zeros, damp, penalty, 300)
    assert 6 < rounds < 300  # it came to rest by itself
    assert torch.equal(keep, mask)
    torch.testing.assert_close(new.double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("iterations", [1, 2, 3, 7])
def test_the_iterations_end_where_the_recipe_says(iterations):
    weight, inputs = layer(3)
    weight = weight.double()
    h, roots = alps.scaled(inputs.double().T @ inputs.double(), 0.01)
    live = torch.ones(ROWS, COLUMNS, dtype=torch.bool)
    found, keep = alps.search(weight * roots, h, 384, live, TENSOR, penalty=0.1, iterations=iterations)
    wanted, _, mask, _ = reference(weight, inputs, TENSOR, 384, 0.01, 0.1, iterations)
    assert torch.equal(keep, mask)
    torch.testing.assert_close(found / roots, wanted, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("select", "share"), [(TENSOR, 0.5), (TENSOR, 0.6), (ROW, 0.5), (GROUPS, 0.5), (TILES, 0.5)])
def test_alps_loses_less_than_sparsegpt_and_sparsegpt_less_than_wanda(seed, select, share):
    weight, inputs = layer(seed)
    zeros = ROWS * int(COLUMNS * share) if select is ROW else int(ROWS * COLUMNS * share)
    new = {m: fit(m, weight, inputs, zeros, select)[0] for m in ("alps", "sparsegpt", "wanda")}
    assert all(int((w == 0).sum()) == zeros for w in new.values())
    loss = {m: lost(weight, w, inputs) for m, w in new.items()}
    assert loss["alps"] < loss["sparsegpt"] < loss["wanda"]


def test_each_step_of_refinement_loses_less():
    weight, inputs = layer(2)
    loss = [
        lost(weight, fit("alps", weight, inputs, 384, GROUPS, damp=1e-9, refinements=n)[0], inputs) for n in (1, 3, 9)
    ]
    assert loss[0] > loss[1] > loss[2]


def test_where_no_token_came_magnitude_decides():
    weight, _ = layer(0)
    new, keep = fit("alps", weight, torch.zeros(0, COLUMNS), 300, TENSOR)
    assert torch.equal(new, weight * keep) and int((~keep).sum()) == 300
    assert float(weight.abs()[~keep].max()) < float(weight.abs()[keep].min())


def test_where_inputs_are_always_zero_the_counts_are_exact_and_weights_finite():
    weight, inputs = layer(0)
    inputs[:, 3] = 0.0
    for given in (inputs, torch.zeros_like(inputs)):
        new, keep = fit("alps", weight, given, 300, TENSOR)
        assert int((~keep).sum()) == 300 and bool(new.isfinite().all())


@pytest.mark.parametrize("select", [TENSOR, GROUPS])
def test_weights_that_are_masked_stay_so_and_count(select):
    weight, inputs = layer(1)
    live = torch.ones_like(weight, dtype=torch.bool)
    live[:, ::4] = False
    new, keep = fit("alps", weight, inputs, 384, select, live)
    assert not bool(keep[:, ::4].any()) and int((~keep).sum()) == 384
    assert not bool(new[:, ::4].any())


@pytest.mark.parametrize("zeros", [0, 1, 767, 768])
def test_any_number_of_zeros_is_met(zeros):
    weight, inputs = layer(1)
    new, keep = fit("alps", weight, inputs, zeros, TENSOR)
    assert int((~keep).sum()) == zeros
    if not zeros:
        torch.testing.assert_close(new, weight, rtol=1e-4, atol=1e-4)


def test_fewer_tokens_than_inputs_need_no_inverse_of_theirs():
    weight, inputs = layer(0)
    new, keep = fit("alps", weight, inputs[:3], 384, TENSOR, damp=1e-12)
    assert int((~keep).sum()) == 384 and bool(new.isfinite().all())


@pytest.mark.parametrize("odd", [float("inf"), float("nan")])
def test_inputs_that_are_not_finite_rank_nothing(odd):
    weight, inputs = layer(0)
    inputs[3, 5] = odd
    with pytest.raises(RecipeError, match="E082"):
        fit("alps", weight, inputs, 384, TENSOR)


def test_matrices_that_read_the_same_share_what_was_made():
    """The sums are taken over by the first, and the second gets the same as from sums of its own."""
    weight, inputs = layer(0)
    score = make("alps", {}, ["a", "b"], 0)
    gathered = Gram.empty(COLUMNS, inputs.device)
    gathered.add(inputs)
    live = torch.ones_like(weight, dtype=torch.bool)
    first, second = torch.nn.Parameter(weight.clone()), torch.nn.Parameter(weight.flip(0))
    score.fit(first, gathered, 384, live, TENSOR)
    assert gathered.sums.numel() == 0
    keep = score.fit(second, gathered, 384, live, TENSOR)
    wanted, mask = fit("alps", weight.flip(0), inputs, 384, TENSOR)
    assert torch.equal(keep, mask) and torch.equal(second.detach(), wanted)
