"""What a rule looks at, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.layers import with_layers
from recipelang.planning.types import Plan
from recipelang.source import Fix, Source, Span
from recipelang.spec.recipe import Recipe
from recipelang.syntax import tree as t


@dataclass(frozen=True)
class Finding:
    """`at` is a path such as `stage.sparse.length`, or a place in the text."""

    at: str | Span
    message: str
    help: str
    fix: Fix | None = None
    also: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Subject:
    """One recipe, as far as it is known. A rule asks only for what its `NEEDS` says is there."""

    source: Source
    tree: t.Recipe
    checked: Recipe | None = None
    planned: Plan | None = None
    #: path -> the statements of bases that later ones took the place of
    replaced: Mapping[str, Sequence[t.Statement]] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        assert self.checked is not None
        return self.checked

    @property
    def plan(self) -> Plan:
        assert self.planned is not None
        return self.planned

    @cached_property
    def facts(self) -> ModelFacts:
        """The names and layers of the planned model, read once more: a plan keeps only its targets."""
        facts = read_model_facts(Path(self.plan.model.path), self.plan.model.task)
        drop = self.plan.model.drop
        return facts if drop is None else with_layers(facts, drop.kept)


def pruned(it: Subject, purpose: str) -> Iterator[tuple[str, float]]:
    """Where targets of this purpose are pruned, and their share of the model."""
    for stage in it.plan.stages:
        for prune in stage.prunes:
            if hit := sum(t.size for t in prune.targets if t.purpose == purpose):
                yield f"stage.{stage.name}.prune.{prune.name}.targets", hit / it.plan.parameters(stage.name)
