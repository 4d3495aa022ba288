"""What is measured, on which data and when; and that it can be measured at all. E054."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recipelang.planning import data_remarks, numbers, similarity
from recipelang.planning.context import Context
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.types import EvaluatePlan, StagePlan
from recipelang.spec.metrics import MEASURES, METRICS, MORE_METRICS
from recipelang.spec.recipe import Recipe
from recipelang.tasks import task_of
from recipelang.tasks.regression import CORRELATIONS
from recipelang.tasks.written_scores import can_be_counted

#: texts, or tokens of a language model, in one forward pass of an evaluation
EVALUATED_TEXTS, EVALUATED_TOKENS = 64, 4096
#: examples that a rehearsal evaluates at least
FEWEST = 16


def plan_evaluations(
    recipe: Recipe,
    data: Mapping[str, DataPlan],
    stages: Sequence[StagePlan],
    positive: Mapping[str, str | None],
    rehearsal: int | None = None,
) -> tuple[EvaluatePlan, ...]:
    """`positive`: of an evaluation, by its name, the class whose F1 counts."""
    per_epoch = {s.name: s.steps_per_epoch for s in stages if s.steps}
    task = recipe.model.task
    planned = tuple(
        EvaluatePlan(
            name=e.name,
            data=e.data,
            split=e.split,
            samples=e.samples,
            batch=e.batch or _batch(data[e.data], stages),
            metrics=e.metrics or METRICS[task],
            positive=positive.get(e.name),
            null_threshold=data_remarks.null_threshold(e, data[e.data].meaning, task),
            dense=e.compare == "dense",
            every={} if e.every is None else {n: max(1, e.every.in_steps(k)) for n, k in per_epoch.items()},
        )
        for e in recipe.evaluations
    )
    return planned if rehearsal is None else tuple(_rehearsed(e, data[e.data], rehearsal) for e in planned)


def _rehearsed(e: EvaluatePlan, data: DataPlan, steps: int) -> EvaluatePlan:
    """So many batches are evaluated as steps are taken. A correlation reads all: few labels may be all the same."""
    few = max(FEWEST, steps * e.batch)
    if any(m in CORRELATIONS for m in e.metrics) or few >= min(data.measured(e.split), e.samples or few + 1):
        return e
    return e.model_copy(update={"samples": few})


def _batch(data: DataPlan, stages: Sequence[StagePlan]) -> int:
    """As many examples as a training step of the recipe has room for: nothing is kept for a backward pass."""
    words = task_of(data.task).gives == "words"
    most = EVALUATED_TOKENS // data.max_length if words else EVALUATED_TEXTS // data.sequences
    return max(1, min(most, 4 * min(s.micro_batch for s in stages)))


def can_be_measured(it: Context, data: Mapping[str, DataPlan]) -> bool:
    """E054 for a metric that the task, these data or these classes do not have."""
    recipe, task = it.recipe, it.task
    known = (*METRICS[task.name], *MORE_METRICS.get(task.name, ()))
    for e in recipe.evaluations:
        if wrong := [m for m in e.metrics if m not in known]:
            have = " and ".join(filter(None, (", ".join(f"`{m}`" for m in known[:-1]), f"`{known[-1]}`")))
            path = f"evaluate.{e.name}.metrics"
            it.say("E054", f"`{wrong[0]}` is not a metric of {task.name}", path, f"it has {have}")
            return False
        packages = {m: MEASURES[m].package for m in e.metrics}
        at = f"evaluate.{e.name}.metrics"
        if not it.guard(at, lambda p=packages: all(can_be_counted(*needs) for needs in p.items())):
            return False
        own = data[e.data]
        if task.gives == "embeddings" and not similarity.measures_what_it_can(recipe, e, own, it.found):
            return False
        if not data_remarks.null_fits(recipe, e, own, it.found):
            return False
        if task.gives == "number" and not numbers.correlates(recipe, e, own, it.found):
            return False
        classes = task.classes if it.facts.labels else None
        for metric in (e.metrics or METRICS[task.name]) if classes else ():
            if classes and (why := classes.refuses(metric, it.facts.labels)):
                others = ", ".join(m for m in METRICS[task.name] if m != metric)
                path = f"evaluate.{e.name}" + (".metrics" if e.metrics else "")
                it.say("E054", why, path, f"write `metrics = [{others}]`")
                return False
    return True
