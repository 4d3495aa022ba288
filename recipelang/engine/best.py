"""What `keep_best` does in a run: which measurements count, what is kept of them, and what a stage leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recipelang.engine.course import Course
from recipelang.engine.fitting import each_once
from recipelang.engine.position import Best
from recipelang.modifiers.keep_best import KeepBest
from recipelang.modifiers.modifier import Modifier
from recipelang.planning.types import EvaluatePlan, StagePlan
from recipelang.pruning.shards import beside
from recipelang.spec.claims import metric_text


def keeper(modifiers: Sequence[Modifier]) -> KeepBest | None:
    return next((m for m in modifiers if isinstance(m, KeepBest)), None)


def judges(stage: StagePlan, evaluation: EvaluatePlan, step: int) -> bool:
    """Whether a stage decides by what an evaluation measures after so many steps."""
    return stage.best is not None and stage.best.evaluation == evaluation.name and step >= stage.best.since


def note(run: Course, stage: StagePlan, evaluation: EvaluatePlan, step: int, metrics: Mapping[str, float]) -> None:
    """What was measured after a step, of the weights as they are now: kept if none were better."""
    if not judges(stage, evaluation, step):
        return
    assert stage.best is not None and run.best is not None
    value, so_far = metrics[stage.best.metric], run.position.best.get(stage.name)
    if stage.best.better(value, None if so_far is None else so_far.value):
        run.best.take(each_once(run.model), run.masks.placed())
        run.position.best[stage.name] = Best(path=stage.best.path, step=step, value=value)


def bring_back(run: Course, stage: StagePlan, step: int) -> None:
    """The stage ends, after so many steps, with the best weights that were measured."""
    best, keeper = run.position.best.get(stage.name), run.best
    run.best = None
    if stage.best is None:
        return
    if best is None or keeper is None:
        run.reporter.message(f"stage {stage.name}: nothing was measured that counts, so its last weights stay")
        return
    if best.step < step:
        now = each_once(run.model)
        run.model.load_state_dict({n: beside(t, now[n]) for n, t in keeper.weights().items()}, strict=False)
        run.masks.load(keeper.masks(), dict(run.model.named_parameters()), judged=True)
    value = metric_text(stage.best.metric, best.value)
    run.reporter.message(f"stage {stage.name}: the weights of step {best.step:,} are the best: {best.path} {value}")
