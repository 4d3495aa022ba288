"""`harness` blocks of a recipe for this machine: what their task files measure, and that it can be measured. E219, E228, E229."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from recipelang.planning.context import Context
from recipelang.planning.harness_plan import HarnessPlan
from recipelang.planning.references import local_path
from recipelang.planning.task_file import data_of, metrics_of, read_task
from recipelang.planning.types import Plan
from recipelang.source import Label, fail
from recipelang.spec.harness import HARNESS, HarnessSpec
from recipelang.spec.recipe import Recipe
from recipelang.storage.reading import sha256
from recipelang.syntax import tree as t
from recipelang.tasks import task_of

#: examples of each task that a rehearsal measures
_FEW = 16


def plan_harnesses(it: Context, rehearsal: int | None = None) -> tuple[HarnessPlan, ...]:
    blocks = it.recipe.harnesses
    if not blocks:
        return ()
    at = f"{HARNESS}.{blocks[0].name}"
    if task_of(it.recipe.model.task).learns != "next":
        help = "write `evaluate` with the metrics of the task"
        it.say("E229", f"lm-eval measures decoders, and the task is {it.recipe.model.task}", at, help)
        return ()
    if find_spec("lm_eval") is None:
        it.say("E229", "`harness` needs lm-eval", at, "`pip install 'recipelang[lm-eval]'`")
        return ()
    planned = [it.guard(f"{HARNESS}.{b.name}.task", lambda b=b: _planned(it, b, rehearsal), "E219") for b in blocks]
    found = tuple(p for p in planned if p is not None)
    _claims_are_measured(it, found)
    return found


def _planned(it: Context, block: HarnessSpec, rehearsal: int | None) -> HarnessPlan:
    file = local_path(block.task, it.beside)
    form = read_task(file)
    return HarnessPlan(
        name=block.name,
        task=form["task"],
        file=str(file),
        digest=f"sha256:{sha256(file)}",
        data={str(p): f"sha256:{sha256(p)}" for p in data_of(form)},
        metrics=metrics_of(form),
        few_shot=block.few_shot,
        samples=_samples(block, rehearsal),
        batch=block.batch,
    )


def _samples(block: HarnessSpec, rehearsal: int | None) -> int | None:
    return block.samples if rehearsal is None else min(block.samples or _FEW, _FEW)


def harnesses_again(recipe: Recipe, plan: Plan) -> list[HarnessPlan]:
    """What the recipe says of them; what their files said is as the plan has it."""
    there = {h.name: h for h in plan.harnesses}
    found = []
    for block in recipe.harnesses:
        own = {"few_shot": block.few_shot, "samples": _samples(block, plan.rehearsal), "batch": block.batch}
        if block.name in there:
            found.append(there[block.name].model_copy(update=own))
    return found if len(found) == len(recipe.harnesses) else []


def _claims_are_measured(it: Context, planned: Sequence[HarnessPlan]) -> None:
    """A task measures the metrics of its file: known before the run, and not when the claim was read."""
    measured = {f"{HARNESS}.{p.name}.{m}" for p in planned for m in p.metrics}
    tasks = {p.name: p for p in planned}
    for claim in it.recipe.claims:
        for node in t.inside(claim.condition):
            if not isinstance(node, t.Path) or node.names[0] != HARNESS or node.text in measured:
                continue
            if len(node.names) == 3 and (own := tasks.get(node.names[1])):
                help = f"its file has {', '.join(f'`{m}`' for m in own.metrics)}"
                message = f"the task `{own.task[:60]}` does not measure `{node.names[2]}`"
                it.found.say("E229", message, Label(it.recipe.source, node.span), help=help)


def unchanged(plan: HarnessPlan) -> None:
    """E219 where the task or its data are no longer those of the plan."""
    for path, digest in {plan.file: plan.digest, **plan.data}.items():
        if f"sha256:{sha256(Path(path))}" != digest:
            help = "start again: `run --overwrite`"
            raise fail("E219", f"`{Path(path).name}` has changed since the task was planned", help=help)
