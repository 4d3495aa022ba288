"""Data as the plan sees it: where each split is, how many examples and model inputs it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recipelang import __version__
from recipelang.plan.facts import ModelFacts, read_model_facts
from recipelang.plan.families import label_names
from recipelang.plan.references import Pins, check_version, is_local, local_path
from recipelang.plan.remembered import file_digest, remembered
from recipelang.plan.types import DataPlan, SplitPlan
from recipelang.source import Diagnostic, Label, RecipeError, at_label, fail
from recipelang.spec.blocks import DataSpec
from recipelang.spec.check import Recipe
from recipelang.spec.references import is_split
from recipelang.tasks import Features, task_of
from recipelang.tasks.labels import fits

DEFAULT_LENGTH = 384


def plan_data(
    recipe: Recipe, label: str, spec: DataSpec, used: set[str], facts: ModelFacts, beside: Path, pins: Pins
) -> DataPlan:
    """One data set, with the sizes of the splits in use. E047, E074, E075 as they come."""
    length = spec.max_length or DEFAULT_LENGTH
    block = f"data.{label}" if label else "data"
    task = recipe.model.task
    _only_its_columns(recipe, block, spec, task)
    if spec.max_length and spec.max_length > facts.max_positions:
        limit = f"{facts.max_positions:,} tokens"
        message = f"`max_length` is more than the {limit} the model takes"
        at = recipe.label(f"{block}.max_length")
        raise RecipeError(Diagnostic("E038", message, at, help=(f"write at most `{facts.max_positions} tokens`",)))
    if min(length, facts.max_positions) < (least := task_of(task).SHORTEST):
        message = f"inputs of {min(length, facts.max_positions)} tokens are too short for {task}"
        at = recipe.label(f"{block}.max_length") if spec.max_length else recipe.label("model.base")
        raise RecipeError(Diagnostic("E038", message, at, help=(f"it needs {least} tokens at least",)))
    splits = {name: _split(spec, name, beside, pins) for name in sorted(used)}
    plan = DataPlan(
        label=label,
        task=task,
        splits=splits,
        config=spec.config,
        columns=dict(spec.columns),
        max_length=min(length, facts.max_positions),
        stride=spec.stride,
        samples=spec.samples,
        shuffle=spec.shuffle,
        group_by_length=spec.group_by_length,
        seed=spec.seed,
        draw_seed=recipe.seed if spec.seed is None else spec.seed,
        labels=facts.labels,
    )
    sizes = {}
    for name in splits:
        with at_label(_named_at(recipe, block, spec, name)):
            sizes[name] = _sizes(plan, name, facts.path)
    return plan.model_copy(
        update={
            "examples": {n: s.examples for n, s in sizes.items()},
            "items": {n: s.items for n, s in sizes.items()},
            "sequences": max(s.sequences for s in sizes.values()),
        }
    )


def _named_at(recipe: Recipe, block: str, spec: DataSpec, split: str) -> Label | None:
    own = split if getattr(spec, split, None) is not None else "source"
    return recipe.label(f"{block}.{own}")


def _only_its_columns(recipe: Recipe, block: str, spec: DataSpec, task: str) -> None:
    for name, _ in spec.columns:
        fields = task_of(task).FIELDS
        if name not in fields:
            at = recipe.label(f"{block}.columns.{name}")
            help = (f"it reads {', '.join(f'`{f}`' for f in fields)}",)
            raise RecipeError(Diagnostic("E054", f"{task} reads no column `{name}`", at, help=help))


def _split(spec: DataSpec, name: str, beside: Path, pins: Pins) -> SplitPlan:
    """A split is a file of its own, another reference, or a part of the source."""
    own = getattr(spec, name, None)
    if own is None and spec.source is None:
        given = ", ".join(f"`{n}`" for n in ("train", "validation", "test") if getattr(spec, n)) or "none"
        raise fail(
            "E074",
            f"the data has no `{name}` split",
            help=f"add `{name} = ...`, or a `source`",
            notes=[f"given: {given}"],
        )
    if own is None:
        return _located(spec.source or "", name, beside, pins)
    if spec.source is not None and is_split(spec, own):
        return _located(spec.source, own, beside, pins)  # a name: another split of the source
    return _located(own, name, beside, pins)


def _located(reference: str, split: str, beside: Path, pins: Pins) -> SplitPlan:
    digest = ""
    if is_local(reference):
        path = local_path(reference, beside)
        reference, digest = str(path), f"sha256:{file_digest(path)}" if path.is_file() else ""
    check_version(reference)
    if reference in pins:
        reference = f"{reference.partition('@')[0]}@{pins[reference]}"
    return SplitPlan(reference=reference, split=split, digest=digest)


def with_labels(
    facts: ModelFacts, recipe: Recipe, label: str, spec: DataSpec, split: str, beside: Path, pins: Pins
) -> ModelFacts:
    """The model as it will be for the classes of a split; its head is new where they are not its own. E074, E075."""
    block = f"data.{label}" if label else "data"
    _only_its_columns(recipe, block, spec, facts.task)
    where = _split(spec, split, beside, pins)
    task = task_of(facts.task)
    with at_label(_named_at(recipe, block, spec, split)):
        names = _remembered(
            ["labels", spec.config, sorted(dict(spec.columns).items()), facts.task],
            where,
            _are_names,
            lambda: list(
                task.label_names(task.open_split(where.reference, where.split, dict(spec.columns), spec.config))
            ),
        )
    own = label_names(facts.config)
    keeps = facts.has_head and all(fits(name, own) is not None for name in names)
    return read_model_facts(facts.path, facts.task, own if keeps else names, new_head=not keeps)


@dataclass(frozen=True)
class _Size:
    examples: int
    items: int
    sequences: int


def _sizes(plan: DataPlan, name: str, model: Path) -> _Size:
    """Counted once of everything that decides it: the split, how the plan reads it, and all that the folder of the
    model says of tokens."""
    how = plan.model_dump_json(exclude={"splits", "examples", "items", "sequences"})

    def count() -> dict[str, int]:
        examples, features = load_split(plan, name, model)
        return {"examples": len(examples), "items": len(features), "sequences": features.sequences}

    return _Size(**_remembered([how, name, _about_tokens(model)], plan.splits[name], _are_sizes, count))


def _about_tokens(model: Path) -> list[tuple[str, str]]:
    """Every file of a model folder but its weights, by digest: tokenizers are described in many, and by the config."""
    small = (p for p in sorted(model.iterdir()) if p.suffix in (".json", ".txt", ".model", ".jinja") and p.is_file())
    return [(p.name, file_digest(p)) for p in small]


def _are_sizes(found: object) -> bool:
    names = {"examples", "items", "sequences"}
    return (
        isinstance(found, dict)
        and found.keys() == names
        and all(type(n) is int and n >= (k == "sequences") for k, n in found.items())
    )


def _are_names(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(name, str) for name in found)


def _remembered(parts: list[object], split: SplitPlan, sound: Callable[[Any], bool], compute: Callable[[], Any]) -> Any:
    """What was counted once of a file's contents, with all else that it depends on."""
    if not split.digest and not split.reference.startswith("lib://"):
        return compute()
    software = [__version__, *(version(name) for name in ("tokenizers", "numpy"))]
    where = split.digest or split.reference
    kind = Path(split.reference).suffix if split.digest else ""  # decides how a file is read
    return remembered("sizes", [*software, where, kind, split.split, *parts], sound, compute)


def load_examples(plan: DataPlan, name: str) -> tuple[Any, ...]:
    """The examples of a split. `samples` cuts the training split; of joined texts it counts blocks."""
    split = plan.splits[name]
    task = task_of(plan.task)
    examples = task.open_split(split.reference, split.split, plan.columns, plan.config)
    return examples[: plan.samples] if name == "train" and plan.samples and not task.BLOCKS else examples


def load_split(plan: DataPlan, name: str, model: Path, first: int | None = None) -> tuple[tuple[Any, ...], Features]:
    """Examples of a split, and the model inputs made of them with the tokenizer of a model folder.

    `first`: no more than so many, as an evaluation asks for.
    """
    task = task_of(plan.task)
    examples = load_examples(plan, name)
    if first is not None and not task.BLOCKS:
        examples = examples[:first]
    features = task.featurize(examples, task.load_tokenizer(model), plan.max_length, plan.stride, plan.labels)
    if task.BLOCKS and name == "train" and plan.samples:
        features = features.some(plan.samples, plan.draw_seed if plan.shuffle else None)
    if task.BLOCKS and first is not None:
        features = features.some(first, None)
    return examples, features
