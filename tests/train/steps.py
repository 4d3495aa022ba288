"""Run a recipe of the `project` fixture from a test, with a look at every step."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from recipelang.engine import stages
from recipelang.engine.files import only_one
from recipelang.engine.records import Interrupted, Reporter, Result
from recipelang.engine.run import execute
from recipelang.engine.shrink import Left, choose, smaller
from recipelang.engine.start import fill_folder
from recipelang.engine.worth import Read, worth_of
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.modifiers.modifier import Modifier
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.planning.types import StagePlan
from recipelang.spec.claims import judge
from recipelang.spec.effective import effective


def also_acting(monkeypatch: pytest.MonkeyPatch, make: Callable[[StagePlan], Modifier]) -> None:
    """In every stage of every run a modifier of the test acts too, after the plan's own."""
    planned = stages.acting
    monkeypatch.setattr(stages, "acting", lambda stage, *rest, **more: [*planned(stage, *rest, **more), make(stage)])


class StopAt(Reporter):
    """Sends this process a signal after a number of steps, as a scheduler would."""

    def __init__(self, step: int) -> None:
        self.left = step

    def stepped(self, stage, step, loss, rate, sparsity) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


class Steps(Reporter):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def stepped(self, stage, step, loss, rate, sparsity) -> None:
        self.losses.append(loss)


def run(
    recipe: Path,
    out: Path,
    reporter: Reporter | None = None,
    *,
    resume: bool = False,
    params: tuple[str, ...] = (),
    rehearsal: int | None = None,
) -> Result:
    checked, plan, _ = planned(str(recipe), read_around(list(params)), rehearsal=rehearsal)
    if not resume:
        with only_one(out):
            fill_folder(out, plan, effective(checked), overwrite=False)
    return execute(plan, out, reporter or Reporter(), lambda m: judge(checked, m), resume=resume)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def stopped_often(recipe: Path, out: Path, steps: int) -> int:
    """Run a recipe to its end, interrupted and resumed after every so many steps; how often it was."""
    stops = 0
    while True:
        try:
            run(recipe, out, StopAt(steps), resume=stops > 0)
            return stops
        except Interrupted:
            stops += 1


def chosen(model: nn.Module, plan: ShrinkPlan, read: Read | None) -> Left:
    return choose(model, plan, worth_of(model, plan, read))


def shrink(model: nn.Module, plan: ShrinkPlan, read: Read | None) -> tuple[nn.Module, tuple[int, ...]]:
    """The smaller model, and which layers it has of the larger, by their numbers there."""
    kept = chosen(model, plan, read)
    return smaller(model, kept), kept.layers
