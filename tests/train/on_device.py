"""Recipes run on the CPU and on the pretended device, in a process of its own.

Reads jobs from the file that is its argument, and prints a line of JSON with what it found of each.
"""

from __future__ import annotations

import json
import math
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.pretended import CROSSED, device  # before the first backward: torch counts devices then  # isort: skip
from torch.nn.attention import SDPBackend, sdpa_kernel

from recipelang.engine import stages, watch
from recipelang.engine.records import Interrupted
from recipelang.modifiers.modifier import Modifier, State
from recipelang.source import RecipeError
from tests.train.steps import StopAt, run, same, weights


class Steps(Modifier):
    """Acts first: what crosses from one start of a step to the next is that step's."""

    def __init__(self, stage: str, noted: list[dict[str, Any]]) -> None:
        self.stage, self.noted = stage, noted

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


def compared(recipe: Path, stop: int | None) -> dict[str, Any]:
    """Attention is computed in the way that the device has, on the CPU too. `stop`: interrupted and resumed there as well."""
    out, name = recipe.parent, recipe.stem
    noted: list[dict[str, Any]] = []
    with sdpa_kernel(SDPBackend.MATH):
        expected = run(recipe, out / f"{name}-cpu")
        wanted = weights(out / f"{name}-cpu")
        with device():
            with acting(lambda stage: Steps(stage.name, noted)):
                found = run(recipe, out / f"{name}-device")
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
    found = {}
    for name, job in json.loads(Path(sys.argv[1]).read_text("utf-8")).items():
        recipe = Path(job["recipe"])
        try:
            found[name] = compared(recipe, job["stop"]) if job["spoil"] is None else spoiled(recipe, job["spoil"])
        except Exception:
            found[name] = {"failed": traceback.format_exc()}
    print(json.dumps(found))
