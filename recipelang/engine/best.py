"""What `keep_best` and `stop_early` do in a run: which measurements count, what is kept of them, and when a stage ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recipelang.engine.course import Course
from recipelang.engine.fitting import each_once
from recipelang.engine.position import Best, Wait
from recipelang.modifiers.average import Average
from recipelang.modifiers.keep_best import KeepBest
from recipelang.modifiers.modifier import Modifier
from recipelang.planning.types import EvaluatePlan, StagePlan
from recipelang.planning.watch_plan import StopPlan, WatchPlan
from recipelang.pruning.shards import beside
from recipelang.source import fail
from recipelang.source.words import plural
from recipelang.spec.claims import metric_text


def keeper(modifiers: Sequence[Modifier]) -> KeepBest | None:
    return next((m for m in modifiers if isinstance(m, KeepBest)), None)


def averaged(run: Course, stage: StagePlan, modifiers: Sequence[Modifier]) -> Average | None:
    """E055 for a model in shards."""
    found = next((m for m in modifiers if isinstance(m, Average)), None)
    if found is not None and run.shard:
        help = "give every process a full copy: remove `--shard`"
        raise fail(
            "E055", f"this release does not average sharded weights, as `ema` of stage `{stage.name}` does", help=help
        )
    return found


def judges(watch: WatchPlan | None, evaluation: EvaluatePlan, step: int) -> bool:
    """Whether what an evaluation measures after so many steps counts."""
    return watch is not None and watch.evaluation == evaluation.name and step >= watch.since


def note(run: Course, stage: StagePlan, evaluation: EvaluatePlan, step: int, metrics: Mapping[str, float]) -> None:
    """What was measured after a step, of the weights as they are now: kept if none were better, and waited for."""
    if stage.best is not None and judges(stage.best, evaluation, step):
        assert run.best is not None
        value, so_far = metrics[stage.best.metric], run.position.best.get(stage.name)
        if stage.best.better(value, None if so_far is None else so_far.value):
            run.best.take(each_once(run.model), run.masks.placed())
            run.position.best[stage.name] = Best(path=stage.best.path, step=step, value=value)
    if stage.stop is not None and judges(stage.stop, evaluation, step) and step < run.plan.until(stage):
        _wait(run, stage, stage.stop, step, metrics[stage.stop.metric])


def _wait(run: Course, stage: StagePlan, stop: StopPlan, step: int, value: float) -> None:
    """The stage is over once the last so many measurements have not improved on the best one before them."""
    before = run.position.waits.get(stage.name)
    if stop.improves(value, None if before is None else before.value):
        run.position.waits[stage.name] = Wait(value=value)
        return
    if before is None:  # no number yet
        return
    run.position.waits[stage.name] = now = Wait(value=before.value, count=before.count + 1)
    if now.count >= stop.patience:
        run.position.stopped[stage.name] = step
        best = metric_text(stop.metric, before.value)
        by = f" by more than {stop.min_delta:g}" if stop.min_delta else ""
        text = f"stopped after step {step:,} of {stage.steps:,}: no {stop.path} better than {best}{by} in"
        run.reporter.message(f"stage {stage.name}: {text} {plural(stop.patience, 'measurement')}")


def bring_back(run: Course, stage: StagePlan, step: int) -> None:
    """The stage ends, after so many steps, with the best weights that were measured."""
    if run.average is not None:
        run.average.leave(run.model)
    best, keeper = run.position.best.get(stage.name), run.best
    run.best = run.average = None
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
