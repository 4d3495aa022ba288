"""Recipes run on the CPU and on the pretended device, in a process of its own.

Reads jobs from the file that is its argument, and prints a line of JSON with what it found of each.
"""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.pretended import CROSSED, device  # before the first backward: torch counts devices then  # isort: skip
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import recipelang
from recipelang.engine import precision, stages, watch
from recipelang.engine.records import Interrupted
from recipelang.modifiers.modifier import Modifier, State
from recipelang.source import RecipeError
from tests.train.steps import StopAt, run, same, weights
from tests.train.test_attach import Net


class Steps(Modifier):
    """Acts first: what crosses from one start of a step to the next is that step's."""

    def __init__(self, stage: str, noted: list[dict[str, Any]], broken: Sequence[int] = ()) -> None:
        """`broken`: steps whose loss overflows."""
        self.stage, self.noted, self.broken = stage, noted, broken

    def on_loss(self, state: State) -> None:
        if state.step in self.broken:
            assert state.loss is not None
            state.loss = state.loss * math.inf

    def on_step_start(self, state: State) -> None:
        self._note()
        self.noted.append({"stage": self.stage, "step": state.step})

    def on_end(self, state: State) -> None:
        self._note()

    def _note(self) -> None:
        """Complete the step before."""
        if self.noted and "reads" not in self.noted[-1]:
            self.noted[-1] |= {name: getattr(CROSSED, name).copy() for name in ("reads", "left", "arrived")}
        CROSSED.clear()


class Spoil(Modifier):
    """From one step on no gradient is a number."""

    def __init__(self, first: int) -> None:
        self.first = first

    def on_gradients(self, state: State) -> None:
        if state.step >= self.first:
            next(state.model.parameters()).grad.fill_(math.nan)  # type: ignore[union-attr]


def compared(recipe: Path, stop: int | None, broken: Sequence[int]) -> dict[str, Any]:
    """Attention is computed in the way that the device has, on the CPU too. `stop`: interrupted and resumed there as well.

    `broken`: steps that overflow, on both.
    """
    out, name = recipe.parent, recipe.stem
    noted: list[dict[str, Any]] = []
    with sdpa_kernel(SDPBackend.MATH):
        with acting(lambda stage: Steps(stage.name, [], broken)):
            expected = run(recipe, out / f"{name}-cpu")
        wanted = weights(out / f"{name}-cpu")
        with device():
            with acting(lambda stage: Steps(stage.name, noted, broken)):
                found = run(recipe, out / f"{name}-device")
            with acting(lambda stage: Steps(stage.name, [], broken)):
                resumed = None if stop is None else weights(interrupted(recipe, out / f"{name}-cut", stop))
    return {
        "same": same(wanted, weights(out / f"{name}-device")),
        "zeros": sum(expected.measurements.zeros.values()),
        "metrics": found.measurements.metrics == expected.measurements.metrics,
        "resumed": resumed is None or same(wanted, resumed),
        "steps": noted,
    }


def interrupted(recipe: Path, out: Path, stop: int) -> Path:
    try:
        run(recipe, out, StopAt(stop))
    except Interrupted:
        run(recipe, out, resume=True)
        return out
    raise AssertionError("it was not interrupted")


def spoiled(recipe: Path, first: int) -> dict[str, Any]:
    """What is said and kept of a run that goes wrong at a step."""
    out = recipe.parent / recipe.stem
    with device(), acting(lambda stage: Spoil(first)):
        try:
            run(recipe, out)
        except RecipeError as error:
            (said,) = error.diagnostics
            kept = sorted(p.name for p in out.glob("checkpoints/*"))
            return {"code": said.code, "message": said.message, "kept": kept, "notes": list(said.notes)}
    raise AssertionError("it ended well")


LOOP = """recipe 1 "loop"
model {{ base = "none", task = token_classification }}
data {{ train = "none.json" }}
stage s {{
  length = 24 steps, batch = 8, learning_rate = constant(1e-2)
  prune p {{ targets = "inner.weight", method = {method}, sparsity = linear(25% -> 75%, over = 7 steps .. 19 steps, every = 6 steps) }}
}}
"""


def attached(method: str, taken: bool) -> dict[str, Any]:
    """A loop of somebody's own, whose sixth step has gradients that are not finite. `taken`: no scaler skips it."""

    def loop(at: torch.device) -> tuple[list[torch.Tensor], list[int]]:
        torch.manual_seed(0)
        net, waits = Net().to(at), []
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-2)
        pruning = recipelang.attach(LOOP.format(method=method), net, optimizer, steps_per_epoch=24)
        for step in range(pruning.steps):
            CROSSED.clear()
            pruning.step_start()
            x = torch.randn(8, 6, generator=torch.Generator().manual_seed(step)).to(at)
            pruning.loss(net(x).square().mean()).backward()
            if step == 5:
                net.inner.weight.grad.fill_(math.nan)
            pruning.gradients()
            if step != 5 or taken:
                optimizer.step()
            optimizer.zero_grad()
            pruning.step_end()
            waits.append(CROSSED.waits)
        pruning.end()
        state = pruning.state_dict()
        kept = [*net.parameters(), *state["masks"].values(), *state["modifiers"].values()]
        return [t.detach().cpu() for t in kept], waits

    try:
        with device() as there:
            found, waits = loop(there)
    except RecipeError as error:
        return {"said": [f"{d.code}: {d.message}" for d in error.diagnostics]}
    expected, _ = loop(torch.device("cpu"))
    return {"same": all(map(torch.equal, expected, found)) and len(expected) == len(found) > 4, "waits": waits}


class acting:
    """In every stage a modifier of ours acts too, before the plan's own."""

    def __init__(self, make: Any) -> None:
        self.make, self.planned = make, stages.acting

    def __enter__(self) -> None:
        stages.acting = lambda stage, *rest, **more: [self.make(stage), *self.planned(stage, *rest, **more)]  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        stages.acting = self.planned


def main() -> None:
    watch.READ_SECONDS = math.inf  # a slow machine reads as often as a fast one
    precision._NARROW.clear()  # torch has no autocast for a kind of device that is made in Python: the scaling is tried
    found = {}
    for name, job in json.loads(Path(sys.argv[1]).read_text("utf-8")).items():
        try:
            if "method" in job:
                found[name] = attached(job["method"], job["taken"])
                continue
            recipe = Path(job["recipe"])
            found[name] = (
                compared(recipe, job["stop"], job["broken"]) if job["spoil"] is None else spoiled(recipe, job["spoil"])
            )
        except Exception:
            found[name] = {"failed": traceback.format_exc()}
    print(json.dumps(found))
