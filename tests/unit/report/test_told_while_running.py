"""What a run tells while it goes: the sparsity of all blocks together, where an evaluation was done, curves by stage."""

import io
import math
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from torch import nn

from recipelang.engine.event_log import Curves
from recipelang.modifiers.modifier import State
from recipelang.pruning.masks import Masks
from recipelang.report.progress import Progress
from recipelang.report.run import _smoothed


@pytest.fixture
def state() -> State:
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 24, bias=False))
    optimizer = torch.optim.SGD(model.parameters())
    return State(model, optimizer, Masks(), steps=10, prunable=64 + 192)


def mask(state: State, name: str, dead: int) -> None:
    weight = dict(state.model.named_parameters())[name]
    keep = torch.ones(weight.shape, dtype=torch.bool)
    keep.view(-1)[:dead] = False
    state.masks.set(name, weight, keep)


def test_the_sparsity_that_is_shown_is_of_all_prunable_weights_whatever_block_acted_last(state):
    assert state.sparsity == 0
    mask(state, "1.weight", 96)
    assert state.sparsity == 96 / 256
    mask(state, "0.weight", 32)
    assert state.sparsity == 128 / 256
    mask(state, "0.weight", 16)
    assert state.sparsity == 112 / 256
    state.masks.drop(["1.weight"])
    assert state.sparsity == 16 / 256


def test_weights_masked_by_a_block_of_no_plan_count_too(state):
    state.prunable = 0
    mask(state, "0.weight", 16)
    assert state.sparsity == 16 / 64


@pytest.mark.parametrize(
    ("stage", "step", "when"),
    [
        ("sparse", None, "after sparse"),
        ("sparse", 1200, "after step 1,200 of sparse"),
        (None, None, "before training"),
    ],
)
def test_an_evaluation_says_when_it_was_done(stage, step, when):
    shown = io.StringIO()
    Progress(Console(file=shown, width=100)).evaluated(stage, "dev", {"f1": 0.5}, step)
    assert f"dev {when}: " in shown.getvalue()


def test_a_step_that_overflowed_spoils_neither_bar_nor_curve():
    stage = SimpleNamespace(name="sparse", steps=20, prunes=(), shrinks=())
    shown, added = io.StringIO(), []
    bar = Progress(Console(file=shown, width=100))
    curves = Curves.__new__(Curves)
    curves.log, curves.until, curves.first = SimpleNamespace(add=lambda *it: added.append(it)), 20, {"sparse": 0}
    for reporter in (bar, curves):
        reporter.stage_started(stage, 20, 0)
        for step, loss in ((9, 2.0), (10, math.nan), (20, 2.0)):
            reporter.stepped(stage, step, loss, 1e-3, 0.5)
    bar.stop()
    assert "loss 2.000" in shown.getvalue() and "nan" not in shown.getvalue()
    assert [sorted(scalars) for _, scalars in added] == [
        ["train/learning_rate", "train/sparsity"],
        ["train/learning_rate", "train/loss", "train/sparsity"],
    ]


def test_the_loss_of_one_stage_does_not_leak_into_the_next():
    loss = [(float(x), 10.0) for x in range(1, 5)] + [(float(x), 1.0) for x in range(5, 9)]
    assert _smoothed(loss, [0, 4, 8]) == [(x, pytest.approx(y)) for x, y in loss]
    assert _smoothed(loss, [0, 8])[4][1] > 5
