"""The recipe of a folder, compiled again on the model that lies there: what selectors mean, what had to be pruned.

A plan that a folder brings along is compared with what this comes to (`replanned`), and measured by it nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipelang.methods import METHODS
from recipelang.planning import match as matching
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.safetensors_header import DTYPES, read_folder
from recipelang.planning.sliced import counts_through
from recipelang.planning.types import StagePlan
from recipelang.source import fail
from recipelang.source.render import line_of
from recipelang.spec.claims import selectors
from recipelang.spec.recipe import Recipe
from recipelang.values import selector as sel

Pattern = tuple[str, tuple[int, int]]
_HELP = "the plan or the recipe was changed after the run"


@dataclass(frozen=True)
class Wanted:
    """What a prune block leaves: exact zeros of each target, or of all together (`global`)."""

    block: str
    targets: tuple[str, ...]
    zeros: tuple[int, ...]


@dataclass(frozen=True)
class Compiled:
    facts: ModelFacts
    selections: Mapping[str, tuple[str, ...]]  # selector text of a claim -> the matrices meant
    never: tuple[str, ...]
    patterns: frozenset[Pattern]


def compiled(folder: Path, recipe: Recipe) -> Compiled:
    """E070, E073 for selectors that mean nothing in this model; E076 when its files do not fit together."""
    facts = read_model_facts(folder, recipe.model.task)
    if facts.fresh:
        raise fail("E140", f"the weights lack `{line_of(facts.fresh[0])}`", help=_HELP)
    if facts.strangers:
        message = f"the weights hold `{line_of(facts.strangers[0])}`, which this model does not have"
        raise fail("E140", message, help=_HELP)
    never: dict[str, None] = {}
    patterns: set[Pattern] = set()
    for stage in recipe.stages:
        for prune in stage.prunes:
            if prune.never is not None:
                never |= dict.fromkeys(matching.match(prune.never, facts))
            if prune.pattern.kind != "unstructured":
                patterns.add((prune.pattern.kind, (prune.pattern.a, prune.pattern.b)))
    selections = {sel.text(s): _matrices(s, facts) for s, _ in selectors(recipe)}
    return Compiled(facts, selections, tuple(never), frozenset(patterns))


def _matrices(selector: sel.Selector, facts: ModelFacts) -> tuple[str, ...]:
    return tuple(t.name for t in matching.prunable(selector, facts))


def check_dtype(again: Compiled, dtype: str) -> None:
    """E140 for weights of another dtype than those that the run wrote. Some types keep parts of a model in fp32."""
    header, written = read_folder(again.facts.path), DTYPES[dtype]
    for name in (n for t in again.facts.tensors for n in again.facts.sources(t.name)):
        if name in header and header[name].dtype not in (written, "F32"):
            notes = [f"its dtype is {line_of(header[name].dtype)}; the run wrote {written}"]
            raise fail("E140", f"`{line_of(name)}` was converted after the run", notes=notes, help=_HELP)


def wanted(stages: Iterable[StagePlan]) -> list[Wanted]:
    """Zeros that the last event of every block leaves, where no later block or release changes them."""
    found: list[Wanted] = []
    for stage in stages:
        for shrink in stage.shrinks:
            known = ((w, counts_through(shrink, w.targets, w.zeros)) for w in found)
            found = [Wanted(w.block, *still) for w, still in known if still is not None]
        for prune in stage.prunes:
            names = tuple(t.name for t in prune.targets)
            if METHODS[prune.method].masks != "keeps":
                found = [w for w in found if not set(w.targets) & set(names)]
            if prune.events and stage.compat is None:
                found.append(Wanted(f"{stage.name}.{prune.name}", names, prune.events[-1].zeros))
    return found
