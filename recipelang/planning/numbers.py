"""What a regression asks of a model and of data: a head for one number, labels that differ. E054, E080, W147."""

from __future__ import annotations

from recipelang.planning.data import load_examples
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.families import label_names
from recipelang.source import Diagnostics, RecipeError, fail
from recipelang.source.words import listed, plural
from recipelang.spec.blocks import EvaluateSpec
from recipelang.spec.metrics import METRICS
from recipelang.spec.recipe import Recipe
from recipelang.tasks.regression import CORRELATIONS

#: what transformers calls an output that nobody named
OUTPUT = "LABEL_0"


def with_number(facts: ModelFacts, recipe: Recipe, found: Diagnostics) -> ModelFacts:
    """The model with a head for one number: its own, or a new one where its own gives several. W147."""
    own = label_names(facts.config)
    keeps = facts.has_head and len(own) == 1
    if facts.has_head and not keeps:
        notes = (f"the head has {_outputs(own)}, and a regression takes one number",)
        help = "name a model that was trained for regression to keep its head"
        message = "the model's head is replaced by a new head"
        found.say("W147", message, recipe.label("model.base"), notes=notes, help=help)
    return read_model_facts(facts.path, facts.task, own if keeps else (OUTPUT,), new_head=not keeps)


def gives_one_number(facts: ModelFacts, whose: str) -> None:
    """E080 for a teacher, or a student in somebody else's loop, whose head gives several outputs."""
    own = label_names(facts.config)
    if len(own) != 1:
        notes = [f"the {whose}'s head has {_outputs(own)}"]
        help = f"choose a {whose} that was trained for regression" + (", or `stage.NAME`" if whose == "teacher" else "")
        raise fail("E080", f"the {whose} predicts classes, not a number", help=help, notes=notes)


def correlates(recipe: Recipe, e: EvaluateSpec, plan: DataPlan, found: Diagnostics) -> bool:
    """E054 for a correlation with labels that are all equal: it has no value, whatever the model predicts."""
    asked = [m for m in (e.metrics or METRICS[recipe.model.task]) if m in CORRELATIONS]
    if not asked or e.split not in plan.splits:
        return True
    try:
        labels = {x.label for x in load_examples(plan, e.split)[: e.samples]}
    except RecipeError as error:
        found.extend(error.diagnostics)
        return False
    if len(labels) > 1:
        return True
    only = f"{labels.pop():g}"
    notes = [f"`{asked[0]}` is undefined where all labels are equal"]
    if only == "-1":
        notes.append("public test sets hold -1 in place of their labels")
    help = "evaluate on examples with different labels, or measure `mse` only: `metrics = [mse]`"
    path = f"evaluate.{e.name}" + (".metrics" if e.metrics else "")
    message = f"`{e.name}` has only one label: `{only}`"
    found.say("E054", message, recipe.label(path), notes=tuple(notes), help=help)
    return False


def _outputs(names: tuple[str, ...]) -> str:
    return f"{plural(len(names), 'output')}: {listed(names, 6, longest=40)}"
