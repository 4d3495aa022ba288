"""Weights that are no numbers are not ranked, by any method, scope or pattern: E187, and no mask is made."""

import pytest
import torch
from torch import nn

from recipelang.modifiers.modifier import Event, State, fire
from recipelang.modifiers.pruners import pruner
from recipelang.planning.prune_plan import PruneEvent, PrunePlan, Target
from recipelang.pruning.masks import Masks
from recipelang.source import RecipeError


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize(
    "method, scope, pattern, size",
    [
        ("magnitude", "uniform", "unstructured", (0, 0)),
        ("magnitude", "global", "unstructured", (0, 0)),
        ("magnitude", "row", "unstructured", (0, 0)),
        ("magnitude", "uniform", "N:M", (2, 4)),
        ("magnitude", "uniform", "block", (2, 2)),
        ("random", "uniform", "unstructured", (0, 0)),
    ],
)
def test_weights_that_are_no_numbers_are_not_ranked(value, method, scope, pattern, size):
    model = nn.Sequential(nn.Linear(8, 8))
    with torch.no_grad():
        model[0].weight[1, 2] = value
    before = model[0].weight.clone()
    zeros = PruneEvent(step=0, sparsity=0.5, zeros=(32,))
    plan = PrunePlan(
        name="w", method=method, scope=scope, pattern=pattern, pattern_size=size,
        targets=(Target(name="0.weight", shape=(8, 8)),), events=(zeros,),
    )  # fmt: skip
    state = State(model, torch.optim.SGD(model.parameters(), 0.1), Masks(), steps=0)
    with pytest.raises(RecipeError) as refused:
        fire(Event.START, [pruner(plan, 0)], state)
        fire(Event.END, [pruner(plan, 0)], state)
    assert refused.value.diagnostics[0].code == "E187"
    assert "`0.weight`" in refused.value.diagnostics[0].message
    assert torch.equal(model[0].weight.nan_to_num(), before.nan_to_num())
