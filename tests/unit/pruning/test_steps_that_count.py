"""Sums in narrow types, steps that a scaler skips, targets without a gradient, momentum of what was frozen."""

import pytest
import torch
from torch import nn

import recipelang
from recipelang.methods import METHODS
from recipelang.modifiers.prune import make
from recipelang.source import RecipeError

RECIPE = """recipe 1 "steps"
model { base = "any", task = causal_lm }
data { train = "any.txt" }
stage s {
  length = 4 steps, batch = 8, learning_rate = 0.01, optimizer = sgd
  prune weights { targets = "0.weight", method = METHOD, sparsity = step(0% -> 50%, at = 3 steps) }
}
"""
STEPS, SAMPLES = ([n for n, m in METHODS.items() if m.looks_at == what] for what in ("steps", "gradients"))
QUIET = pytest.mark.filterwarnings("ignore::recipelang.loops.notices.RecipeWarning")


@pytest.mark.parametrize("method", sorted({*STEPS, *SAMPLES} - {"obert"}))  # it takes no `batches`
def test_scores_of_weights_in_bf16_are_added_up_in_fp32(method):
    weight = nn.Parameter(torch.ones(4, 4, dtype=torch.bfloat16))
    score = make(method, {"batches": 300}, ["w"], 0)

    def gradients(batches, size, dense=False):
        for _ in range(batches):
            weight.grad = torch.full_like(weight, -1.0)
            yield

    for _ in range(300):  # in bf16 256 + 1 is 256
        weight.grad = torch.full_like(weight, -1.0)
        score.observe([weight])
    score.prepare([weight], gradients)
    match method:
        case "rigl":
            assert score.slopes[0].dtype is torch.float32 and float(score.slopes[0].max()) == -300
        case "soft_movement" | "redrawn_movement":
            assert score.learned["w"].dtype is torch.float32
        case _:
            (found,) = score.scores([weight])
            assert float(found().float().max()) == {"movement": 300, "snip": 1}[method]


def attached(method: str, **more):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pruning = recipelang.attach(RECIPE.replace("METHOD", method), model, optimizer, steps_per_epoch=4, **more)
    return model, optimizer, pruning


def train(model, optimizer, pruning, overflows: int, skips: bool) -> None:
    for step in range(4):
        pruning.step_start()
        model(torch.ones(2, 4)).sum().backward()
        if step == overflows:
            model[0].weight.grad[0, 0] = torch.inf
        pruning.gradients()
        if step != overflows or not skips:
            optimizer.step()
        optimizer.zero_grad()
        pruning.step_end()
    pruning.end()


@QUIET
@pytest.mark.parametrize("method", STEPS)
def test_a_step_that_a_scaler_skips_is_not_looked_at(method):
    model, optimizer, pruning = attached(method)
    train(model, optimizer, pruning, overflows=1, skips=True)
    assert int((model[0].weight == 0).sum()) == 8
    assert bool(torch.isfinite(model[0].weight).all())


@QUIET
@pytest.mark.parametrize("method", STEPS)
def test_gradients_that_are_not_finite_and_reach_the_weights_end_the_loop(method):
    with pytest.raises(RecipeError, match="E082]: gradients are not finite at step 1"):
        train(*attached(method), overflows=1, skips=False)


@QUIET
@pytest.mark.parametrize("method", ["snip", "rigl"])  # a choice: those of one pass over `batches`
def test_a_target_without_a_gradient_is_not_ranked_by_nothing(method):
    apart = [{"x": torch.ones(2, 4)}]
    loss = {"batches": apart, "task_loss": lambda net, batch: net[1](batch["x"]).sum()}
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sparsity = {"snip": "step(0% -> 50%, at = 0 steps)", "rigl": "constant(50%, over = start..3 steps, every = 1 step)"}
    text = RECIPE.replace("METHOD", method).replace("step(0% -> 50%, at = 3 steps)", sparsity[method])
    pruning = recipelang.attach(text, model, optimizer, steps_per_epoch=4, **loss)
    with pytest.raises(RecipeError, match=r"E086]: no gradient reaches `0.weight`"):
        for _ in range(4):
            pruning.step_start()
            model(torch.ones(2, 4)).sum().backward()
            pruning.gradients()
            optimizer.step()
            pruning.step_end()


@QUIET
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain"])
def test_momentum_of_what_was_frozen_begins_with_its_training(fused):
    def trained(text: str, kind: dict) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, **kind)
        pruning = recipelang.attach(text, model, optimizer, steps_per_epoch=4)
        for _ in range(4):
            pruning.step_start()
            model(torch.ones(2, 4)).sum().backward()
            pruning.gradients()
            optimizer.step()
            optimizer.zero_grad()
            pruning.step_end()
        return [p.detach() for p in model.parameters()]

    frozen = 'freeze lower { targets = "0.*", until = 2 steps }\n}\n'
    text = (
        RECIPE.replace("METHOD", "magnitude")
        .replace("}\n}\n", "}\n" + frozen)
        .replace("optimizer = sgd", "optimizer = sgd(momentum = 0.9)")
    )
    expected = trained(text, {"foreach": False})
    for ours, theirs in zip(trained(text, {"fused": fused}), expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-6)


def test_a_matrix_that_ends_almost_empty_is_warned_of():
    model = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    model[0].weight.data *= 1e-3
    text = RECIPE.replace('"0.weight"', '"*.weight"').replace("METHOD", "magnitude(scope = global)")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-12)
    pruning = recipelang.attach(text, model, optimizer, steps_per_epoch=4, learning_rate=False)
    for _ in range(4):
        pruning.step_start()
        model(torch.ones(2, 64)).sum().backward()
        pruning.gradients()
        optimizer.step()
        optimizer.zero_grad()
        pruning.step_end()
    with pytest.warns(recipelang.loops.notices.RecipeWarning, match=r"W164(.|\n)*`0.weight`: 99"):
        pruning.end()
