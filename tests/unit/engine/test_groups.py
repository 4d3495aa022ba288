"""The groups of a stage's optimizer: every parameter once, with the decay that the plan gives it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recipelang.engine.groups import make_optimizer
from recipelang.planning.types import GroupPlan, Segment, StagePlan


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 3)
        self.norm = nn.LayerNorm(3)


SPARED = ("dense.bias", "norm.weight", "norm.bias")


def group(*targets: str, decay: float | None = None) -> GroupPlan:
    return GroupPlan(names=("g",), targets=targets, weights=1, weight_decay=decay)


def stage(undecayed: tuple[str, ...], groups: tuple[GroupPlan, ...] = ()) -> StagePlan:
    return StagePlan(
        name="s", index=0, steps=1, steps_per_epoch=1, epochs=1, batch=1, micro_batch=1, accumulation=1, seed=1,
        optimizer="adamw", optimizer_args={"weight_decay": 0.1}, undecayed=undecayed, groups=groups,
        learning_rate=(Segment(shape="constant", start=1, end=1, first=0, last=0),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("undecayed", "groups", "expected"),
    [
        ((), (), {"dense.weight": 0.1, "dense.bias": 0.1, "norm.weight": 0.1, "norm.bias": 0.1}),
        (SPARED, (), {"dense.weight": 0.1, "dense.bias": 0, "norm.weight": 0, "norm.bias": 0}),
        (
            SPARED,
            (group("dense.weight", "dense.bias"),),
            {"dense.weight": 0.1, "dense.bias": 0, "norm.weight": 0, "norm.bias": 0},
        ),
        (
            SPARED[1:],
            (group("dense.weight", "dense.bias", decay=0.5),),
            {"dense.weight": 0.5, "dense.bias": 0.5, "norm.weight": 0, "norm.bias": 0},
        ),
    ],
)
def test_every_parameter_has_its_decay_once(undecayed, groups, expected):
    model = Two()
    optimizer = make_optimizer(stage(undecayed, groups), model)
    names = {p: n for n, p in model.named_parameters()}
    found = [(names[p], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]]
    assert len(found) == len(dict(found))
    assert dict(found) == expected
    assert {names[p] for g in optimizer.param_groups if "group" in g for p in g["params"]} == {
        n for g in groups for n in g.targets
    }


def test_a_step_decays_matrices_alone():
    model = Two()
    nn.init.ones_(model.dense.bias)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = make_optimizer(stage(SPARED), model)
    for part in optimizer.param_groups:
        part["lr"] = 0.5
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    now = dict(model.named_parameters())
    assert {n for n in now if not torch.equal(now[n], before[n])} == {"dense.weight"}
    assert torch.allclose(now["dense.weight"], before["dense.weight"] * (1 - 0.5 * 0.1))
