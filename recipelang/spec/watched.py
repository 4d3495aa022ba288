"""What a stage decides by while it trains: `keep_best = dev.f1` names an evaluation and one of its metrics. E257."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.source import Diagnostics
from recipelang.source.suggest import closest
from recipelang.source.words import listed
from recipelang.spec.blocks import EvaluateSpec, StageSpec
from recipelang.spec.metrics import METRICS
from recipelang.spec.recipe import Recipe


def watched(stage: StageSpec) -> Iterator[tuple[str, str]]:
    """Each attribute of a stage that names a measured path, and the path."""
    if stage.keep_best is not None:
        yield "keep_best", stage.keep_best
    if stage.stop_early is not None:
        yield "stop_early", stage.stop_early


def deciding(recipe: Recipe) -> tuple[EvaluateSpec, ...]:
    """The evaluations that decide which weights a stage leaves, by name."""
    names = {path.partition(".")[0] for stage in recipe.stages for _, path in watched(stage)}
    return tuple(sorted((e for e in recipe.evaluations if e.name in names), key=lambda e: e.name))


def check_watched(recipe: Recipe, found: Diagnostics) -> None:
    """E257 for a path that no evaluation measures inside a stage."""
    for stage in recipe.stages:
        for name, path in watched(stage):
            if wrong := _unmeasured(recipe, path):
                message, help = wrong
                found.say("E257", message, recipe.label(f"stage.{stage.name}.{name}"), help=help)


def _unmeasured(recipe: Recipe, path: str) -> tuple[str, str] | None:
    """Why nothing measures it in the course of a stage, and what to write."""
    name, _, metric = path.partition(".")
    evaluation = next((e for e in recipe.evaluations if e.name == name), None)
    if evaluation is None:
        names = [e.name for e in recipe.evaluations]
        near = closest(name, names)
        known = f"evaluations here: {listed(names, 8)}" if names else f"add `evaluate {name} {{ every = 1 epoch }}`"
        return f"no evaluation is named `{name[:40]}`", f"did you mean `{near}.{metric}`?" if near else known
    measured = evaluation.metrics or METRICS.get(recipe.model.task, ())
    if metric not in measured:
        near = closest(metric, measured)
        help = f"did you mean `{name}.{near}`?" if near else f"it measures {listed(measured, 8)}"
        return f"`evaluate {name}` does not measure `{metric[:40]}`", help
    if evaluation.every is None:
        help = f"write `every = 1 epoch` in `evaluate {name}`"
        return f"`{path}` is measured only when a stage ends", help
    return None
