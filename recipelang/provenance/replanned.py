"""The plan of a folder against its recipe, planned again on the model that lies there: every field that follows from them.

What only the base model, a teacher or the data tell is taken from the plan itself, and named where it was not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from recipelang.planning.budget_plan import BudgetPlan
from recipelang.planning.budgets import Reach, choose_by_speed
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.evaluations import plan_evaluations
from recipelang.planning.facts import ModelFacts, model_digest, read_model_facts, stored_dtype
from recipelang.planning.families import label_names
from recipelang.planning.figures import Models
from recipelang.planning.harness import harnesses_again
from recipelang.planning.latencies import read_latencies
from recipelang.planning.memory import memory_of
from recipelang.planning.shrink import before
from recipelang.planning.sliced import protected
from recipelang.planning.stages import Stages
from recipelang.planning.types import DistillPlan, ExportPlan, Plan, StagePlan
from recipelang.source import Diagnostics, RecipeError, fail
from recipelang.spec.blocks import DistillSpec, StageSpec
from recipelang.spec.controls import DROPS, ShrinkSpec
from recipelang.spec.recipe import Recipe
from recipelang.values.composite import StageRef


class _Again(Stages):
    """The model is the one that the run left, with the numbers of the data as the plan has them."""

    def __init__(self, recipe: Recipe, facts: ModelFacts, plan: Plan) -> None:
        super().__init__(recipe, Path(), Diagnostics())
        self.left, self.plan = facts, plan
        self.facts = facts
        for shrink in reversed([s for stage in plan.stages for s in stage.shrinks]):
            self.facts = before(shrink, self.facts)
        self.data = {d.label: d for d in plan.data}
        self.teacher: ModelFacts | None = None
        self.unchecked: list[str] = []

    def stages(self) -> list[StagePlan]:
        """None where the plan's are of other names or data: its numbers would be of something else."""
        there = [(s.name, s.data) for s in self.plan.stages]
        if there != [(s.name, s.data) for s in self.recipe.stages]:
            return []
        try:
            stages = self._stages()
        except KeyError:  # a stage that the plan says was larger cannot be planned again
            return []
        return stages if self.facts.tensors == self.left.tensors else []

    def stored_zeros(self) -> dict[str, tuple[int, int]] | None:
        """Those that the plan says `hold` found: of the base model, which need not be here."""
        held = (
            (t.name, (zeros, 0))
            for stage in self.plan.stages
            for prune in stage.prunes
            for t, zeros in zip(prune.targets, prune.held, strict=False)
        )
        return dict(held) or None

    def said_of_base(self) -> dict[str, tuple[int, int] | None]:
        """Of the model as it came, which need not be here, what the plan has: its files, and layers that it lost."""
        lost = self.plan.model.drop is not None
        said = {f.text: f.planned for f in self.plan.figures if f.base and (lost or f.name == "size")}
        self.unchecked += [f"`{text}` (the base model need not be on this machine)" for text in said]
        return said

    def _teacher(self, reference: str) -> ModelFacts:
        assert self.teacher is not None
        return self.teacher

    def _by_speed(self, spec: ShrinkSpec, path: str, reach: Reach, name: str) -> BudgetPlan:
        """By the table that the plan names, where its contents are there; else the sizes are as the plan has them."""
        said = {f"stage.{s.name}.shrink.{b.name}": b.budget for s in self.plan.stages for b in s.shrinks}.get(path)
        if said is None or said.speed is None:
            raise fail("E138", "the plan has no speedup where the recipe has one")
        with suppress(RecipeError):
            table, digest = read_latencies(said.speed.table, self.beside, "")
            if digest == said.speed.digest:
                return choose_by_speed(reach, table, name, said.speed.table, digest, "")
        self.unchecked.append("sizes that a speedup came to (the table of latencies is not on this machine)")
        return said

    def _class_counts(self, spec: StageSpec) -> Sequence[int]:
        """As the plan has them: the training data need not be here."""
        said = next(s.loss for s in self.plan.stages if s.name == spec.name)
        self.unchecked.append(f"how often stage `{spec.name}` found each class (the training data)")
        return () if said is None else said.class_counts

    def _distill(self, stage: str, spec: DistillSpec, steps: int, per_epoch: int) -> DistillPlan | None:
        planned = {f"stage.{s.name}": s.distills for s in self.plan.stages}.get(stage, ())
        if isinstance(spec.teacher, StageRef) or len(planned) != 1:
            return super()._distill(stage, spec, steps, per_epoch)
        (said,) = planned
        self.teacher = _teacher_of(said, self.recipe.model.task)
        if self.teacher is not None:
            made = super()._distill(stage, spec, steps, per_epoch)
            return made and made.model_copy(update={"teacher": said.teacher, "teacher_ref": said.teacher_ref})
        self.unchecked.append("layers compared with the teacher (the teacher is not on this machine)")
        self.teacher = self.facts  # for all that does not depend on it
        made = super()._distill(stage, spec, steps, per_epoch)
        kept = ("teacher", "teacher_ref", "teacher_parameters", "teacher_digest", "terms")
        return made and made.model_copy(update={n: getattr(said, n) for n in kept})


def _teacher_of(said: DistillPlan, task: str) -> ModelFacts | None:
    """Of the folder that the plan names, if the teacher is in it."""
    folder = Path(said.teacher)
    try:
        here = folder.is_dir() and model_digest(folder) == said.teacher_digest
        return read_model_facts(folder, task) if here else None
    except (RecipeError, OSError):
        return None


def stages_again(plan: Plan, recipe: Recipe, facts: ModelFacts) -> list[StagePlan]:
    """Of the recipe, whatever the plan says they are; none where it has others."""
    return _Again(recipe, facts, plan).stages()


def difference(plan: Plan, recipe: Recipe, facts: ModelFacts) -> tuple[str | None, list[str]]:
    """Where a plan says something else than its recipe comes to, as a path in it; and what could not be compared."""
    again = _Again(recipe, facts, plan)
    start = again.facts
    stages = again.stages()
    if not stages:
        return "stages", []
    if not {d.label for d in plan.data} >= {e.data for e in recipe.evaluations}:
        return "evaluations", []
    if not {d.label for d in plan.data} <= recipe.data.keys():
        return "data", []
    model = recipe.model
    dtype = stored_dtype(facts.path) if model.dtype == "auto" else model.dtype
    selections = again._selections()
    models = Models(start, again.after, base=start, said=again.said_of_base())
    claimed = again.claimed(models, dtype, selections)
    positive = {e.name: e.positive for e in plan.evaluations}
    wanted: dict[str, Any] = {
        "name": recipe.name,
        "seed": recipe.seed,
        "stages": [s.model_dump() for s in stages],
        "evaluations": [e.model_dump() for e in plan_evaluations(recipe, again.data, stages, positive, plan.rehearsal)],
        "harnesses": [h.model_dump() for h in harnesses_again(recipe, plan)],
        "export": ExportPlan(
            **{n: getattr(recipe.export, n) for n in ("formats", "quantize", "card", "max_shard")}
        ).model_dump(),
        "claims": [
            {"kind": c.kind, "id": i, "message": c.message, "planned": claimed.planned[i]}
            for i, c in enumerate(recipe.claims)
        ],
        "figures": [f.model_dump() for f in claimed.figures],
        "never": list(protected(stages, {t.name for t in again.facts.tensors})),
        "selections": selections,
        "model": {
            "task": model.task,
            "dtype": dtype,
            "attention": model.attention,
            "dropout": None if model.dropout is None else float(model.dropout),
            "attention_dropout": None if model.attention_dropout is None else float(model.attention_dropout),
            "family": facts.family,
            "parameters": start.parameters,
            "tied": next((t.name for t in start.tensors if t.tied), None),
            "labels": plan.model.labels and label_names(facts.config),
        },
        "data": [_read(recipe, d) for d in plan.data],
        **memory_of(plan, again.before),
    }
    drops = {DROPS[d.name]: d.keep for s in recipe.stages for d in s.drops}
    if dropped := plan.model.drop:  # a stack that is not named stays whole
        both = zip(dropped.kept, (dropped, dropped.decoder), strict=False)
        every = {word: tuple(range(of.layers)) for word, of in both if of is not None}
        wrong = not drops or {**every, **drops} != dropped.kept
    else:
        wrong = bool(drops)
    if wrong:
        return "model.drop", again.unchecked
    return next(_differences(wanted, plan.model_dump(), ""), None), again.unchecked


def _read(recipe: Recipe, there: DataPlan) -> dict[str, Any]:
    """How the recipe has a set read; what the data and the model told is as the plan has it."""
    asked = recipe.data[there.label]
    return {
        **{n: getattr(asked, n) for n in ("config", "samples", "shuffle", "group_by_length", "seed")},
        "max_length": asked.max_length or there.max_length,
        "stride": min(asked.stride, there.stride),
        "draw_seed": recipe.seed if asked.seed is None else asked.seed,
    }


def _differences(wanted: Any, there: Any, path: str) -> Iterator[str]:
    """Paths of values that are not as wanted; of objects only the keys that are wanted."""
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        for key, value in wanted.items():
            yield from _differences(value, there.get(key), f"{path}.{key}".lstrip("."))
        if path.rpartition(".")[2] in ("optimizer_args", "args", "every", "selections") and (
            odd := there.keys() - wanted.keys()
        ):
            yield f"{path}.{min(odd)}"
    elif isinstance(wanted, list | tuple) and isinstance(there, list | tuple):
        if len(wanted) != len(there):
            yield path
        else:
            for i, (one, other) in enumerate(zip(wanted, there, strict=True)):
                yield from _differences(one, other, f"{path}[{i}]")
    elif wanted != there:
        yield path
