"""When the target of a stage is reached, and what is measured from then on. E258."""

from __future__ import annotations

from recipelang.planning.context import Context
from recipelang.planning.types import StagePlan
from recipelang.planning.watch_plan import BestPlan
from recipelang.source.words import plural
from recipelang.spec.blocks import StageSpec


def with_watch(it: Context, spec: StageSpec, stage: StagePlan) -> StagePlan:
    """The stage with what it decides by; as it was where it decides nothing, or with errors in `it.found`."""
    if spec.keep_best is None:
        return stage
    best = _best(it, spec.keep_best, stage)
    if not best.counted(stage.steps):
        path = f"stage.{spec.name}.keep_best"
        it.say("E258", "`keep_best` has only the last step to choose", path, _sooner(best, stage), _why(best, stage))
        return stage
    return stage.model_copy(update={"best": best})


def reached(stage: StagePlan) -> int:
    """Steps after which all masks and sizes of a stage are final; at least 1."""
    events = [p.events[-1].step + 1 for p in stage.prunes if p.events]
    return max([1, *events, *(s.step + 1 for s in stage.shrinks if s.step is not None)])


def _best(it: Context, path: str, stage: StagePlan) -> BestPlan:
    name, _, metric = path.partition(".")
    every = next(e.every for e in it.recipe.evaluations if e.name == name)
    assert every is not None  # else `spec/watched.py` has refused it
    return BestPlan(
        evaluation=name, metric=metric, since=reached(stage), every=max(1, every.in_steps(stage.steps_per_epoch))
    )


def _why(best: BestPlan, stage: StagePlan) -> tuple[str, ...]:
    """Why nothing is measured between the target and the end."""
    if best.since >= stage.steps:
        return ("the target is reached as the stage ends",)
    told = f"the stage has {plural(stage.steps, 'step')}, and `{best.evaluation}` is measured every {best.every:,}"
    return (told + (f"; the target is reached by step {best.since:,}" if best.since > 1 else ""),)


def _sooner(best: BestPlan, stage: StagePlan) -> str:
    room = stage.steps - best.since
    if room < 1:
        return "let the schedule of `sparsity` end before the stage does, as in `over = start..75%`"
    return f"evaluate more often: `every = {plural(max(1, room // 4), 'step')}` in `evaluate {best.evaluation}`"
