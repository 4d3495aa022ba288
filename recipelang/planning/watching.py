"""When the target of a stage is reached, and what is measured from then on. E258, W184."""

from __future__ import annotations

from recipelang.planning.context import Context
from recipelang.planning.types import StagePlan
from recipelang.planning.watch_plan import StopPlan, WatchPlan
from recipelang.source.words import plural
from recipelang.spec.blocks import StageSpec
from recipelang.spec.watched import watched


def with_watch(it: Context, spec: StageSpec, stage: StagePlan) -> StagePlan:
    """The stage with what it decides by; as it was where it decides nothing, or with errors in `it.found`."""
    found: dict[str, WatchPlan] = {}
    for name, path in watched(spec):
        watch = _watch(it, path, stage)
        if not watch.counted(stage.steps):
            at = f"stage.{spec.name}.{name}"
            it.say("E258", f"`{name}` has only the last step to look at", at, _sooner(watch, stage), _why(watch, stage))
            return stage
        found[name] = watch
    stop = found.get("stop_early")
    if stop is not None:
        patience = StopPlan(**stop.model_dump(), patience=spec.patience, min_delta=float(spec.min_delta))
        _warn_of_endless(it, spec, patience, stage)
        return stage.model_copy(update={"best": found.get("keep_best"), "stop": patience})
    return stage.model_copy(update={"best": found["keep_best"]}) if found else stage


def _warn_of_endless(it: Context, spec: StageSpec, stop: StopPlan, stage: StagePlan) -> None:
    """W184: the stage is over before patience can be."""
    if stop.earliest(stage.steps) is None:
        many = plural(len(stop.counted(stage.steps)), "measurement")
        notes = (
            f"{many} count before the last step; {stop.patience + 1} are needed: a first one, then {stop.patience}",
        )
        help = f"lower `patience`, or evaluate more often: `every` in `evaluate {stop.evaluation}`"
        it.say("W184", "`stop_early` cannot end this stage", f"stage.{spec.name}.stop_early", help, notes)


def reached(stage: StagePlan) -> int:
    """Steps after which all masks and sizes of a stage are final; at least 1."""
    events = [p.events[-1].step + 1 for p in stage.prunes if p.events]
    return max([1, *events, *(s.step + 1 for s in stage.shrinks if s.step is not None)])


def _watch(it: Context, path: str, stage: StagePlan) -> WatchPlan:
    name, _, metric = path.partition(".")
    every = next(e.every for e in it.recipe.evaluations if e.name == name)
    assert every is not None  # else `spec/watched.py` has refused it
    return WatchPlan(
        evaluation=name, metric=metric, since=reached(stage), every=max(1, every.in_steps(stage.steps_per_epoch))
    )


def _why(watch: WatchPlan, stage: StagePlan) -> tuple[str, ...]:
    """Why nothing is measured between the target and the end."""
    if watch.since >= stage.steps:
        return ("the target is reached as the stage ends",)
    told = f"the stage has {plural(stage.steps, 'step')}, and `{watch.evaluation}` is measured every {watch.every:,}"
    return (told + (f"; the target is reached by step {watch.since:,}" if watch.since > 1 else ""),)


def _sooner(watch: WatchPlan, stage: StagePlan) -> str:
    room = stage.steps - watch.since
    if room < 1:
        return "let the schedule of `sparsity` end before the stage does, as in `over = start..75%`"
    return f"evaluate more often: `every = {plural(max(1, room // 4), 'step')}` in `evaluate {watch.evaluation}`"
