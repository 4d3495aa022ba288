"""A stage in a loop with a real `torch.amp.GradScaler`: a step that it skips changes no weight, and everything else goes on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import recipelang
from recipelang.loading.read import read_around
from recipelang.schedules.stepwise import at

from .loops import Loop, write, zeros

#: an inf among the gradients, in the middle of the ramp: an event falls on the second of these steps
OVERFLOWS = (3, 4)


class Scaled:
    """The loop of the docs. What happened at each step is kept."""

    def __init__(self, recipe: Path, method: str) -> None:
        self.loop = Loop(recipe, read_around([f"method={method}"]))
        self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=4)
        self.pruning = recipelang.attach(
            recipe,
            self.loop.model,
            self.loop.optimizer,
            steps_per_epoch=self.loop.stage.steps_per_epoch,
            params={"method": method},
            teacher=self.loop.teacher,
        )
        self.rates: list[float] = []
        self.scales: list[float] = []
        self.moved: list[bool] = []

    def go(self, first: int, until: int, overflows: Sequence[int] = OVERFLOWS) -> None:
        model, optimizer, pruning, scaler = self.loop.model, self.loop.optimizer, self.pruning, self.scaler
        for step, batch in zip(range(first, until), self.loop.batches(first), strict=False):
            pruning.step_start()
            before = [p.detach().clone() for p in model.parameters()]
            self.rates.append(optimizer.param_groups[0]["lr"])
            with torch.autocast("cpu", torch.bfloat16):
                outputs = model(**batch)
                loss = pruning.loss(outputs.loss, outputs, batch)
            scaler.scale(loss).backward()
            if step in overflows:
                next(iter(model.parameters())).grad[0] = torch.inf
            scaler.unscale_(optimizer)
            pruning.gradients()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            pruning.step_end()
            self.scales.append(scaler.get_scale())
            self.moved.append(any(not torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True)))
            assert pruning.masks.holds()

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return {n: p.detach() for n, p in self.loop.model.named_parameters()}


@pytest.fixture(params=["magnitude", "movement"])
def method(request) -> str:
    return request.param


@pytest.fixture
def recipe(project, tmp_path: Path) -> Path:
    project()
    return write(tmp_path)


def test_a_skipped_step_leaves_weights_and_keeps_masks_and_schedules(recipe: Path, method: str) -> None:
    scaled = Scaled(recipe, method)
    stage = scaled.loop.stage
    scaled.go(0, stage.steps)
    scaled.pruning.end()
    assert [i for i, moved in enumerate(scaled.moved) if not moved] == [*OVERFLOWS]
    assert scaled.scales[2] > scaled.scales[3] > scaled.scales[4]  # halved at each
    assert scaled.rates == [pytest.approx(at(stage.learning_rate, step)) for step in range(stage.steps)]
    assert zeros(scaled.weights, scaled.loop.plan) == sum(stage.prunes[0].events[-1].zeros)
    assert all(torch.isfinite(w).all() for w in scaled.weights.values())
    states = [t for m in scaled.pruning._modifiers for t in m.state().values() if t.is_floating_point()]
    assert all(torch.isfinite(t).all() for t in states)
    assert method == "magnitude" or states


def test_saved_between_two_skipped_steps_it_goes_on_as_if_nothing_were(recipe: Path, method: str) -> None:
    whole = Scaled(recipe, method)
    steps = whole.loop.stage.steps
    whole.go(0, steps)
    whole.pruning.end()
    first = Scaled(recipe, method)
    first.go(0, OVERFLOWS[1])
    kept = copy.deepcopy(
        [x.state_dict() for x in (first.loop.model, first.loop.optimizer, first.scaler, first.pruning)]
    )
    again = Scaled(recipe, method)
    for one, state in zip((again.loop.model, again.loop.optimizer, again.scaler, again.pruning), kept, strict=True):
        one.load_state_dict(state)
    again.go(OVERFLOWS[1], steps)
    again.pruning.end()
    assert all(torch.equal(w, again.weights[n]) for n, w in whole.weights.items())
    assert whole.scaler.get_scale() == again.scaler.get_scale()
