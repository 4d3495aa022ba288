"""What holds for embeddings only: which metrics pairs and triples have, and what a loss over a batch needs of a stage."""

from __future__ import annotations

from recipelang.planning.data import load_examples
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.types import Plan, StagePlan
from recipelang.source import Diagnostics
from recipelang.spec.blocks import EvaluateSpec, StageSpec
from recipelang.spec.metrics import METRICS
from recipelang.spec.recipe import Recipe
from recipelang.tasks import task_of
from recipelang.tasks.sentence_similarity import METRIC, constant, form, in_batch

_ARE = {"scores": "pairs with a score", "pairs": "pairs without a score", "triples": "triples"}


def measures_what_it_can(recipe: Recipe, e: EvaluateSpec, data: DataPlan, found: Diagnostics) -> bool:
    """E054 for a metric that needs other columns, or scores that differ."""
    kind = form(data.meaning.columns)
    metric = METRIC[kind]
    if wrong := next((m for m in e.metrics or METRICS[recipe.model.task] if m != metric), None):
        needed = next(_ARE[other] for other, m in METRIC.items() if m == wrong)
        notes = (f"`{wrong}` needs {needed}; the data of `{e.name}` are {_ARE[kind]}",)
        help = f"write `metrics = [{metric}]`"
        at = recipe.label(f"evaluate.{e.name}" + (".metrics" if e.metrics else ""))
        found.say("E054", f"these data have no `{wrong}`", at, notes=notes, help=help)
        return False
    if kind == "scores" and constant(load_examples(data, e.split)[: e.samples]):
        message = f"all scores of `{e.name}` are equal, so they have no ranks"
        help = "evaluate on pairs with different scores"
        found.say("E054", message, recipe.label(f"evaluate.{e.name}"), help=help)
        return False
    return True


def compares_batches(plan: Plan, stage: StagePlan) -> bool:
    """Whether the loss of a stage compares the items of a batch, which then must stay whole."""
    data = next((d for d in plan.data if d.label == stage.data), None)
    return data is not None and task_of(data.task).gives == "embeddings" and in_batch(data.meaning.columns)


def in_batch_fits(recipe: Recipe, spec: StageSpec, data: DataPlan | None, found: Diagnostics) -> bool:
    """Where the other items of a batch are the wrong answers, a batch stays whole, and has some. E054, E055."""
    if data is None or task_of(data.task).gives != "embeddings" or not in_batch(data.meaning.columns):
        return True
    notes = ("the wrong answers for a text are the other pairs of its batch",)
    path = f"stage.{spec.name}"
    if spec.batch is not None and spec.micro_batch not in (None, spec.batch):
        message = "this release cannot split a batch whose texts are compared"
        help = "remove `micro_batch`, or train on pairs with a score"
        found.say("E055", message, recipe.label(f"{path}.micro_batch"), notes=notes, help=help)
        return False
    sizes = {f"{path}.batch" if spec.batch else f"{path}.micro_batch": spec.batch or spec.micro_batch}
    sizes |= {f"{path}.prune.{p.name}.method": p.method.get("batch") for p in spec.prunes}  # type: ignore[misc]
    if form(data.meaning.columns) == "pairs" and (at := next((a for a, size in sizes.items() if size == 1), None)):
        help = "write `batch = 16` or more"
        message = "a batch of one pair leaves nothing to compare"
        found.say("E054", message, recipe.label(at), notes=notes, help=help)
        return False
    return True
