"""Training data that are read as a stream: what a plan looks at, and what has to be known of them elsewhere. E214, E215."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipelang.planning.context import Context
from recipelang.planning.data_plan import DataPlan, SplitPlan, StreamPlan
from recipelang.source import Diagnostic, RecipeError, fail
from recipelang.spec.blocks import DataSpec, StageSpec
from recipelang.spec.metrics import TASKS
from recipelang.spec.recipe import Recipe
from recipelang.tasks import task_of
from recipelang.tasks.shards import files
from recipelang.tasks.streams import Pass, Place, open_stream
from recipelang.values.composite import Schedule, ShapeSegment, Term
from recipelang.values.quantities import Time

#: records that are shuffled together, where the recipe does not say
PORTION = 10_000
#: records by which a plan decides what columns and labels mean
HEAD = 1_000


def of_files(stream: StreamPlan, path: Path) -> StreamPlan:
    """With what a path names."""
    there = files(path)
    return stream.model_copy(update={"files": len(there), "bytes": sum(file.stat().st_size for file in there)})


def head(task: str, split: SplitPlan, columns: Mapping[str, str], config: str | None) -> Any:
    """The first records of a stream, as its task reads a split. E074."""
    streams = task_of(task).streams
    assert streams is not None, "a task that reads no streams is refused before"
    shards = open_stream(split.reference, split.split, columns, config, texts=task_of(task).blocks)
    table = Pass(shards, range(len(shards.names)), Place()).take(HEAD)
    if not table.rows:
        raise fail("E074", f"`{shards.name}` holds no records", help="name files that hold some")
    return streams(table, columns)


def can_stream(recipe: Recipe, block: str, spec: DataSpec, task: str) -> None:
    """E215 for a task that needs its data as a whole."""
    if not spec.streaming or task_of(task).streams is not None:
        return
    others = ", ".join(t for t in TASKS if task_of(t).streams is not None)
    help = ("remove `streaming`: the data are read and prepared once",)
    at, notes = recipe.label(f"{block}.streaming"), (f"tasks that do: {others}",)
    raise RecipeError(Diagnostic("E215", f"{task} cannot read a stream", at, notes=notes, help=help))


def stage_can_stream(it: Context, spec: StageSpec, data: DataPlan | None) -> bool:
    """E214 for epochs, which a stream does not have; E215 for what needs all examples, or the same ones again."""
    if data is None or not data.streamed:
        return True
    path = f"stage.{spec.name}"
    if spec.mode == "one_shot":
        help = "give it a data set of its own: `data calibration { ..., samples = 128 }`, and `data = calibration` here"
        at = f"{path}.data" if f"{path}.data" in it.recipe.spans else f"{path}.mode"
        it.say("E215", "a one-shot stage cannot read a stream", at, help, ["its samples are drawn from all examples"])
        return False
    for distill in spec.distills:
        if distill.cache:
            notes = ["a cache holds the teacher's outputs for examples that are seen again"]
            help = "remove `cache`: the teacher then runs in every step"
            it.say("E215", "a teacher's outputs for a stream cannot be cached", f"{path}.distill.cache", help, notes)
            return False
    if spec.compat:
        help = "remove `compat`, or `streaming` in `data`"
        it.say("E215", "`compat` counts epochs, and a stream has none", f"{path}.compat", help)
        return False
    return _no_epochs(it, path)


def _no_epochs(it: Context, path: str) -> bool:
    own = [(at, block) for at, block in it.recipe.blocks() if at == path or at.startswith(f"{path}.")]
    every = [(f"evaluate.{e.name}", e) for e in it.recipe.evaluations]
    for at, block in (*own, *every):
        for name in block.attributes():
            if _has_epochs(getattr(block, name)):
                example = "`every = 100 steps`" if name in ("sparsity", "every") else f"`{name} = 10_000 steps`"
                help = (
                    f"write it in steps, as in {example if name in ('length', 'sparsity', 'every') else '`100 steps`'}"
                )
                notes = ["how many steps an epoch has would be known only after reading all of the stream"]
                it.say("E214", f"`{name}` counts epochs of a stream", f"{at}.{name}", help, notes)
                return False
    return True


def _has_epochs(value: object) -> bool:
    match value:
        case Time():
            return bool(value.epochs)
        case tuple():
            return any(map(_has_epochs, value))
        case Schedule():
            return _has_epochs(value.segments)
        case ShapeSegment():
            return any(map(_has_epochs, (value.window, value.every, value.rewind)))
        case Term():
            return _has_epochs(value.weight)
    return False


def can_be_evaluated(it: Context, data: Mapping[str, DataPlan]) -> bool:
    """E215 for an evaluation of a stream: it would have no end, or another one each time."""
    for e in it.recipe.evaluations:
        if data[e.data].streamed and data[e.data].splits[e.split].stream is not None:
            help = f'write `split = "validation"`, or give `{e.name}` a data set without `streaming`'
            at = f"evaluate.{e.name}.split"
            it.say(
                "E215", f"`{e.name}` evaluates a stream", at if at in it.recipe.spans else f"evaluate.{e.name}", help
            )
            return False
    return True
