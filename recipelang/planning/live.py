"""The plan of one stage for a model that exists already: names and shapes come from it, no file is read.

What decides in somebody else's loop is the loop: model, data, batch, optimizer, clip and precision of the recipe
are not looked at, and may be what this release does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recipelang.kinds.terms import INNER
from recipelang.methods import METHODS
from recipelang.planning import match as matching, numbers
from recipelang.planning.facts import ModelFacts
from recipelang.planning.families import FAMILIES, HEADS, TensorFact, label_count
from recipelang.planning.stages import Stages
from recipelang.planning.types import DistillPlan, StagePlan
from recipelang.source import Diagnostic, Diagnostics, RecipeError, fail
from recipelang.source.words import an
from recipelang.spec.blocks import DistillSpec, StageSpec
from recipelang.spec.recipe import Recipe
from recipelang.tasks import task_of
from recipelang.values import selector as sel
from recipelang.values.composite import StageRef


@dataclass(frozen=True)
class Live:
    """A model in memory: shapes of its parameters by name, and the config of a transformers model."""

    shapes: Mapping[str, tuple[int, ...]]
    config: Mapping[str, Any] | None = None
    facts: tuple[TensorFact, ...] = ()  # of a transformers model of a type that is in no table


def live_facts(live: Live, task: str) -> ModelFacts:
    """Roles are those of the family in the config; without one, names are all there is."""
    config = dict(live.config or {})
    family = str(config.get("model_type", ""))
    known = _roles(family, config, live.shapes, task) or {t.name: t for t in live.facts}
    tensors = tuple(
        replace(known[name], name=name, shape=shape) if name in known else TensorFact(name, shape, frozenset())
        for name, shape in live.shapes.items()
    )
    return ModelFacts(Path(), family if known else "", task, config, tensors, ())


def _roles(family: str, config: dict[str, Any], names: Mapping[str, object], task: str) -> dict[str, TensorFact]:
    """What the family's heads for all tasks call their parameters; a model without a head has no prefix.

    Of two roles of one name those for this task count: the embeddings of a language model may be its head.
    """
    head = task_of(task).head
    try:
        tasks = sorted(HEADS.get(family, ()), key=lambda t: (t == head, t))
        every = [t for each in tasks for t in FAMILIES[family](config, each)]
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return {}
    whole = {t.name: t for t in every}
    body = {t.name.partition(".")[2]: t for t in every if t.layer is not None or "embeddings" in t.roles}
    return next((k for k in (whole, body) if any(t.layer is not None for n, t in k.items() if n in names)), {})


def resolve_stage(
    recipe: Recipe, index: int, student: Live, teacher: Live | None, steps_per_epoch: int, found: Diagnostics
) -> StagePlan | None:
    """The plan of `recipe.stages[index]`, or none with errors in `found`."""
    return _Live(recipe, student, teacher, steps_per_epoch, found).stage(index)


def masked_before(recipe: Recipe, index: int) -> str | None:
    """The last stage before this one that leaves masks behind."""
    stages = recipe.stages[:index]
    return next(
        (s.name for s in reversed(stages) if any(METHODS[p.method.name].masks != "releases" for p in s.prunes)), None
    )


class _Live(Stages):
    def __init__(
        self, recipe: Recipe, student: Live, teacher: Live | None, steps_per_epoch: int, found: Diagnostics
    ) -> None:
        super().__init__(recipe, Path(), found)
        self.facts = live_facts(student, recipe.model.task)
        self.teacher = teacher
        self.per_epoch = steps_per_epoch

    def stage(self, index: int) -> StagePlan | None:
        told, self.found = self.found, Diagnostics()  # other stages have batches of their own
        for i, spec in enumerate(self.recipe.stages[:index]):
            self._stage(i, spec)
        self.found = told
        spec = self.recipe.stages[index]
        if self._postponed(spec):
            return None
        planned = self._stage(index, spec)
        if (
            planned is not None
            and self.facts.family
            and any(self._names_roles(p.targets, p.never) for p in spec.prunes)
        ):
            self._warn_of_strangers(spec)
        return None if self.found.errors else planned

    def _postponed(self, stage: StageSpec) -> bool:
        """Of what this release lacks, only what would act here."""
        before = len(self.found)
        path = f"stage.{stage.name}"
        if stage.mode == "one_shot":
            help = "use `recipelang run`: one-shot pruning has no training loop"
            self.say("E055", "this release does not support one-shot pruning in your own loop", f"{path}.mode", help)
        inner = [(f"{path}.prune.{p.name}", p) for p in stage.prunes] + [(f"{path}.distill", d) for d in stage.distills]
        self._not_yet(inner)
        return len(self.found) > before

    def _steps_per_epoch(self, spec: StageSpec) -> int:
        return self.per_epoch

    def _class_counts(self, spec: StageSpec) -> Sequence[int]:
        help = ('write the weights: `class_weights = ["LABEL" -> 2]`',)
        raise RecipeError(Diagnostic("E256", "a loop of your own has no data to count classes in", help=help))

    def stored_zeros(self) -> None:
        return None

    def _digest_of(self, teacher: ModelFacts) -> str:
        return ""  # it is in memory

    def _warn_of_emulation(self, spec: StageSpec) -> None:
        """The precision is the loop's."""

    def select(self, selector: sel.Selector, path: str, *, matrices_only: bool, empty: bool = False) -> tuple[str, ...]:
        if not self.facts.family and self._names_roles(selector):
            self.guard(path, self._no_roles)
            return ()
        return super().select(selector, path, matrices_only=matrices_only, empty=empty)

    def _names_roles(self, *selectors: sel.Selector | None) -> bool:
        leaves = [leaf for s in selectors if s is not None for leaf in matching.leaves(s)]
        return any(isinstance(leaf, sel.Role | sel.Layers) for leaf in leaves)

    def _no_roles(self) -> None:
        matrices = [t.name for t in self.facts.tensors if t.prunable]
        kind = self.facts.config.get("model_type")
        why = (
            f"its parameter names are not those of {an(f'`{kind}`')} of transformers"
            if kind
            else "the model has no config"
        )
        raise fail(
            "E073",
            "the roles and layers of this model are unknown",
            notes=[why],
            help="write tensor names: its matrices are " + ", ".join(f'`"{n}"`' for n in matrices[:4]),
        )

    def _warn_of_strangers(self, spec: StageSpec) -> None:
        """Matrices that somebody added, and no pattern names: `never = @head` does not reach them."""
        selectors = [s for p in spec.prunes for s in (p.targets, p.never) if s is not None]
        patterns = [p for s in selectors for p in matching.leaves(s) if isinstance(p, sel.Glob | sel.Regex)]
        named = {name for p in patterns for name in matching.match(p, self.facts)}
        strangers = [t.name for t in self.facts.tensors if not t.roles and t.prunable and t.name not in named]
        if strangers:
            s = "matrices have" if len(strangers) > 1 else "matrix has"
            notes = (f"{an(f'`{self.facts.family}`')} has no {', '.join(f'`{n}`' for n in strangers[:3])}",)
            help = "name them in `targets` to prune them, or in `never` to protect them"
            self.say("W106", f"{len(strangers)} {s} no role", f"stage.{spec.name}", help, notes)

    def _distill(self, stage: str, spec: DistillSpec, steps: int, per_epoch: int) -> DistillPlan | None:
        path = f"{stage}.distill"
        if self.teacher is None:  # of a stage before this one, which is not planned for its own sake
            return None
        facts = self.guard(f"{path}.teacher", lambda: self._teacher(""))
        if facts is None:
            return None
        shapes = {t.name: t.shape for t in self.facts.tensors}
        if isinstance(spec.teacher, StageRef) and {t.name: t.shape for t in facts.tensors} != shapes:
            help = f"pass the model as it was after stage `{spec.teacher.name}`, or name another teacher in the recipe"
            self.say("E080", "the teacher is not an earlier state of this model", f"{path}.teacher", help)
            return None
        if any(term.name in INNER for term in spec.on) and not (self.facts.family and facts.family):
            self.guard(f"{path}.on", self._no_roles)
            return None
        return super()._distill(stage, spec, steps, per_epoch)

    def _teacher(self, reference: str) -> ModelFacts:
        """Whatever the recipe names, the teacher is the one that was handed over."""
        assert self.teacher is not None
        facts = live_facts(self.teacher, self.recipe.model.task)
        theirs, ours = facts.config, self.facts.config
        if theirs and ours and theirs.get("vocab_size") != ours.get("vocab_size"):
            notes = [f"teacher {theirs.get('vocab_size')}, student {ours.get('vocab_size')} tokens"]
            raise fail("E080", "teacher and student have different vocabularies", notes=notes)
        if theirs and ours and task_of(facts.task).gives == "number":
            numbers.gives_one_number(self.facts, "student")
            numbers.gives_one_number(facts, "teacher")
        if theirs and ours and label_count(theirs) != label_count(ours):
            notes = [f"teacher {label_count(theirs)}, student {label_count(ours)} labels"]
            raise fail("E080", "teacher and student have different labels", notes=notes)
        return facts


def chosen_stage(recipe: Recipe, name: str | None) -> int:
    """The index of a stage by its name, or of the only one. E086 otherwise."""
    names = [s.name for s in recipe.stages]
    listed = ", ".join(f"`{n}`" for n in names)
    if name is None and len(names) == 1:
        return 0
    if name is None:
        raise RecipeError(
            Diagnostic(
                "E086", f"this recipe has {len(names)} stages: {listed}", help=(f'choose one: `stage="{names[-1]}"`',)
            )
        )
    if name not in names:
        raise RecipeError(Diagnostic("E086", f"this recipe has no stage `{name}`", help=(f"it has {listed}",)))
    return names.index(name)
