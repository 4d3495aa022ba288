"""The recipe of a folder, compiled again on the model that lies there: what selectors mean, what had to be pruned.

A plan that a folder brings along is compared with this, and measured by it nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recipelang.methods import METHODS
from recipelang.planning import compat, counts, match as matching, schedule
from recipelang.planning.controls import doubles
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.families import label_names
from recipelang.planning.safetensors_header import read_folder
from recipelang.planning.types import Plan, StagePlan
from recipelang.source import Diagnostics, RecipeError, fail
from recipelang.source.render import line_of
from recipelang.spec.blocks import PruneSpec, StageSpec
from recipelang.spec.claims import selectors
from recipelang.spec.metrics import METRICS
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
    targets: Mapping[tuple[str, str], tuple[str, ...]]  # stage and block -> its matrices
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
    targets: dict[tuple[str, str], tuple[str, ...]] = {}
    never: dict[str, None] = {}
    patterns: set[Pattern] = set()
    for stage in recipe.stages:
        for prune in stage.prunes:
            targets[stage.name, prune.name] = _matrices(prune.targets, facts)
            if prune.never is not None:
                never |= dict.fromkeys(matching.match(prune.never, facts))
            if prune.pattern.kind != "unstructured":
                patterns.add((prune.pattern.kind, (prune.pattern.a, prune.pattern.b)))
    selections = {sel.text(s): _matrices(s, facts) for s, _ in selectors(recipe)}
    return Compiled(facts, selections, targets, tuple(never), frozenset(patterns))


def _matrices(selector: sel.Selector, facts: ModelFacts) -> tuple[str, ...]:
    return tuple(t.name for t in matching.matrices(matching.match(selector, facts), facts))


def check_plan(plan: Plan, recipe: Recipe, again: Compiled) -> None:
    """E138 where a plan says something else than its recipe comes to."""
    stages = {s.name: s for s in plan.stages}
    if list(stages) != [s.name for s in recipe.stages]:
        raise _differs("stages")
    if {s: set(n) for s, n in plan.selections.items()} != {s: set(n) for s, n in again.selections.items()}:
        raise _differs("selections of claims")
    if set(plan.never) != set(again.never):
        raise _differs("protected tensors")
    for spec in recipe.stages:
        stage = stages[spec.name]
        _check_stage(stage, spec, recipe.seed)
        if [p.name for p in stage.prunes] != [p.name for p in spec.prunes]:
            raise _differs(f"prune blocks of `{spec.name}`")
        for asked, block in zip(spec.prunes, stage.prunes, strict=True):
            planned = ({t.name for t in block.targets}, block.method, block.pattern, block.pattern_size)
            size = (asked.pattern.a, asked.pattern.b)
            targets = set(again.targets[spec.name, asked.name])
            if planned != (targets, asked.method.name, asked.pattern.kind, size):
                raise _differs(f"block `{spec.name}.{asked.name}`")
    if [c.kind for c in plan.claims] != [c.kind for c in recipe.claims]:  # their texts name parameters there
        raise _differs("claims")
    evaluations = [(e.name, e.data, e.split, e.samples, e.metrics) for e in plan.evaluations]
    asked_for = [
        (e.name, e.data, e.split, e.samples, e.metrics or METRICS[recipe.model.task]) for e in recipe.evaluations
    ]
    if evaluations != asked_for:
        raise _differs("evaluations")
    if (plan.name, plan.model.task, plan.seed) != (recipe.name, recipe.model.task, recipe.seed):
        raise _differs("name, task or seed")
    for data in plan.data:
        asked_of = recipe.data[data.label]
        given = (asked_of.config, asked_of.samples, asked_of.shuffle, asked_of.group_by_length, asked_of.seed)
        if given != (data.config, data.samples, data.shuffle, data.group_by_length, data.seed):
            raise _differs("how the data are read")
        if asked_of.max_length not in (None, data.max_length) or data.stride > asked_of.stride:
            raise _differs("lengths of inputs")
    if plan.model.labels and plan.model.labels != label_names(again.facts.config):
        raise _differs("classes", "`config.json`")


def _check_stage(stage: StagePlan, spec: StageSpec, seed: int) -> None:
    """What steers training, where the recipe alone decides it."""
    mode = (spec.mode, spec.data, seed if spec.seed is None else spec.seed, spec.precision, spec.compat)
    if (stage.mode, stage.data, stage.seed, stage.precision, stage.compat) != mode:
        raise _differs(f"mode, data, seed or precision of `{spec.name}`")
    if spec.mode != "train" or spec.batch is None or spec.learning_rate is None or spec.length is None:
        return
    clock = schedule if spec.compat is None else compat
    rate = clock.segments(spec.learning_rate, stage.steps, stage.steps_per_epoch, None, Diagnostics())
    clip = None if spec.clip is None else float(spec.clip)
    micro = spec.micro_batch or spec.batch
    told = (stage.steps, stage.batch, stage.micro_batch, stage.accumulation, stage.clip, stage.learning_rate)
    if told != (
        spec.length.in_steps(stage.steps_per_epoch), spec.batch, micro, spec.batch // micro, clip, tuple(rate)
    ):  # fmt: skip
        raise _differs(f"the clock or rate of `{spec.name}`")
    arguments = {n: doubles(v) for n, v in spec.optimizer.arguments if n != "no_decay"}
    if (stage.optimizer, dict(stage.optimizer_args)) != (spec.optimizer.name, arguments):
        raise _differs(f"the optimizer of `{spec.name}`")


def check_master(again: Compiled) -> None:
    """E140 for weights of another type than those that a run trains and writes: `dtype = fp32` is all that there is."""
    header = read_folder(again.facts.path)
    for name in again.facts.stored.values():
        if name in header and header[name].dtype != "F32":
            notes = [f"its type is {line_of(header[name].dtype)}; a run writes F32"]
            raise fail("E140", f"`{line_of(name)}` was converted after the run", notes=notes, help=_HELP)


def _differs(what: str, than: str = "the recipe") -> RecipeError:
    return fail("E138", f"`recipe/plan.json` differs from {than} in {line_of(what)}", help=_HELP)


def wanted(plan: Plan, recipe: Recipe, again: Compiled) -> list[Wanted]:
    """Zeros that the last event of every block leaves, where no later block or release changes them."""
    facts = {t.name: t for t in again.facts.tensors}
    found: list[Wanted] = []
    for stage, spec in zip(plan.stages, recipe.stages, strict=True):
        for prune in spec.prunes:
            names = again.targets[spec.name, prune.name]
            found = (
                [w for w in found if not set(w.targets) & set(names)]
                if METHODS[prune.method.name].masks != "keeps"
                else found
            )
            if prune.sparsity is not None and stage.compat is None:
                shapes = [facts[n].shape for n in names]
                if zeros := _last(prune, stage.steps, stage.steps_per_epoch, shapes):
                    found.append(Wanted(f"{spec.name}.{prune.name}", names, zeros))
    return found


def _last(prune: PruneSpec, steps: int, per_epoch: int, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    assert prune.sparsity is not None
    timed = schedule.events(prune.sparsity, steps, per_epoch, None, Diagnostics())
    if not timed:
        return ()
    kind, size = prune.pattern.kind, (prune.pattern.a, prune.pattern.b)
    scope = "uniform" if kind == "N:M" else str(prune.method.get("scope") or "uniform")
    rises = not METHODS[prune.method.name].regrows
    return counts.over_time(kind, size, scope, shapes, [s for _, s in timed], rises=rises)[-1]
