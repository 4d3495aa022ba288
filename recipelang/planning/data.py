"""Data as the plan sees it: where each split is, how many examples and model inputs it has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter

from recipelang.planning.contents import data_digest, stream_digest
from recipelang.planning.data_plan import MIX, ChatPlan, DataPlan, SharePlan, SplitPlan, StreamPlan
from recipelang.planning.facts import ModelFacts, read_model_facts
from recipelang.planning.families import label_names
from recipelang.planning.languages import with_languages
from recipelang.planning.opened import commit_now, is_as_planned, open_split, read_split
from recipelang.planning.prepared import keep, recall
from recipelang.planning.probe import encoding_fails, fitted
from recipelang.planning.references import Pins, check_version, is_local, local_path
from recipelang.planning.remembered import file_digest, remembered
from recipelang.planning.streamed import PORTION, can_stream, of_files
from recipelang.source import Diagnostic, Label, RecipeError, at_label, fail
from recipelang.source.words import listed
from recipelang.spec.blocks import DataSpec
from recipelang.spec.metrics import TASKS
from recipelang.spec.recipe import Recipe
from recipelang.spec.references import is_split, is_stream
from recipelang.storage.forms import Count, Form, Some
from recipelang.tasks import Features, task_of
from recipelang.tasks.chat_template import read_template
from recipelang.tasks.encoding import pad_id
from recipelang.tasks.hub import is_commit
from recipelang.tasks.in_parts import featurized
from recipelang.tasks.labels import differ, fits, fold, make_classes, say_nothing
from recipelang.tasks.later import Later
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.mixture import LONGEST, Mixed, Mixture, parts_of, shared
from recipelang.tasks.reading import load_tokenizer
from recipelang.tasks.shards import is_several
from recipelang.tasks.squad_format import overlap
from recipelang.version import __version__, installed

DEFAULT_LENGTH = 384
T = TypeVar("T")


def training_splits(spec: DataSpec) -> tuple[str, ...]:
    """What training reads: the split `train`, or each source of a mixture as a split of its own."""
    return tuple(f"{MIX}{m.name}" for m in sorted(spec.mixes, key=lambda m: m.name)) or ("train",)


def is_training(split: str) -> bool:
    return split == "train" or split.startswith(MIX)


def understand(
    recipe: Recipe, label: str, spec: DataSpec, used: Collection[str], task_name: str, beside: Path, pins: Pins
) -> Meaning:
    """What the splits in use mean, decided over all of them. E047, E074, E075, E148 as they come."""
    block = f"data.{label}" if label else "data"
    _only_its_columns(recipe, block, spec, task_name)
    _only_what_it_reads(recipe, block, spec, task_name)
    can_stream(recipe, block, spec, task_name)
    task = task_of(task_name)
    wanted = Meaning(
        columns=dict(spec.columns),
        classes=spec.classes,
        unlabelled=spec.unlabelled,
        answers=spec.answer_is,  # type: ignore[arg-type]
        max_score=None if spec.max_score is None else float(spec.max_score),
        prefix=spec.prefix or "",
    )
    splits = {}
    shares = {f"{MIX}{m.name}": m.share for m in spec.mixes}
    # what is read first is taken for right
    for name in sorted(used, key=lambda n: (not is_training(n), -shares.get(n, 0), n)):
        with at_label(_named_at(recipe, block, spec, name)):
            splits[name] = _split(spec, name, beside, pins)

    def decide() -> Meaning:
        found = {}
        for name, split in splits.items():
            with at_label(_named_at(recipe, block, spec, name)):
                found[name] = read_split(task_name, split, wanted.columns, spec.config)
        return task.decide(found, wanted)

    parts = ["meaning 3", task_name, spec.config, wanted.model_dump()]
    known = _remembered(parts, list(splits.values()), _MEANING, decide).model_dump()
    found = Meaning.model_validate({k: dict(sorted(v.items())) if isinstance(v, dict) else v for k, v in known.items()})
    _each_read_once(recipe, block, found)
    return found


def plan_data(
    recipe: Recipe,
    label: str,
    spec: DataSpec,
    used: set[str],
    facts: ModelFacts,
    meaning: Meaning,
    beside: Path,
    pins: Pins,
) -> DataPlan:
    """One data set, with the sizes of the splits in use. E047, E074, E075 as they come."""
    length = spec.max_length or DEFAULT_LENGTH
    block = f"data.{label}" if label else "data"
    task = recipe.model.task
    if spec.max_length and spec.max_length > facts.max_positions:
        limit = f"{facts.max_positions:,} tokens"
        message = f"`max_length` is more than the {limit} the model takes"
        at = recipe.label(f"{block}.max_length")
        raise RecipeError(Diagnostic("E038", message, at, help=(f"write at most `{facts.max_positions} tokens`",)))
    if min(length, facts.max_positions) < (least := task_of(task).shortest):
        message = f"inputs of {min(length, facts.max_positions)} tokens are too short for {task}"
        at = recipe.label(f"{block}.max_length") if spec.max_length else recipe.label("model.base")
        raise RecipeError(Diagnostic("E038", message, at, help=(f"it needs at least {least} tokens",)))
    splits = {name: _split(spec, name, beside, pins) for name in sorted(used)}
    plan = DataPlan(
        label=label,
        task=task,
        splits=splits,
        config=spec.config,
        columns=dict(spec.columns),
        meaning=with_languages(recipe, block, spec, facts, meaning),
        max_length=min(length, facts.max_positions),
        stride=_stride(recipe, block, spec, min(length, facts.max_positions))
        if "stride" in task_of(task).settings
        else spec.stride,
        samples=spec.samples,
        shuffle=spec.shuffle,
        group_by_length=spec.group_by_length,
        seed=spec.seed,
        draw_seed=recipe.seed if spec.seed is None else spec.seed,
        labels=facts.labels,
        chat=_chat(recipe, facts) if "messages" in meaning.columns else None,
        mixture=_mixture(recipe, block, spec) if any(map(is_training, used)) else (),
    )
    sizes = {}
    for name in splits:
        with at_label(_named_at(recipe, block, spec, name)):
            sizes[name] = _sizes(plan, name, facts.path)
    every = [sizes[n] for n in plan.parts_of("train")] if plan.mixture else []
    whole = {"train": every} if every else {}
    known = {n: s for n, s in sizes.items() if splits[n].stream is None}
    return plan.model_copy(
        update={
            "examples": {n: s.examples for n, s in known.items()}
            | {n: sum(s.examples for s in e) for n, e in whole.items()},
            "items": {n: s.items for n, s in known.items()} | {n: sum(s.items for s in e) for n, e in whole.items()},
            **{what: {n: v for n, s in known.items() if (v := getattr(s, what))} for what in _COUNTED},
            "sequences": max(s.sequences for s in sizes.values()),
        }
    )


def _mixture(recipe: Recipe, block: str, spec: DataSpec) -> tuple[SharePlan, ...]:
    """In the order of their names, whatever order they are written in. E224, E227."""
    mixes = sorted(spec.mixes, key=lambda m: m.name)
    parts = parts_of([m.share for m in mixes])
    if sum(parts) > LONGEST:
        help = ("round the shares: two decimals of a percentage are enough",)
        raise RecipeError(
            Diagnostic(
                "E224",
                "the shares have no common measure",
                recipe.label(f"{block}.mix.{mixes[0].name}.share"),
                help=help,
            )
        )
    samples = shared(spec.samples, parts) if spec.samples else [None] * len(mixes)
    for mix, count in zip(mixes, samples, strict=True):
        if count == 0:
            raise never_read(recipe, block, mix.name, spec.samples or 0, "samples")
    return tuple(SharePlan(name=m.name, rows=p, samples=s) for m, p, s in zip(mixes, parts, samples, strict=True))


def never_read(recipe: Recipe, block: str, source: str, rows: int, what: str) -> RecipeError:
    """E227 for a share that is less than one row."""
    message = f"the source `{source[:40]}` is never read"
    notes = (f"its share of {rows:,} {what} is less than one",)
    at = recipe.label(f"{block}.mix.{source}.share")
    return RecipeError(Diagnostic("E227", message, at, notes=notes, help=("raise its share, or remove the source",)))


def _chat(recipe: Recipe, facts: ModelFacts) -> ChatPlan:
    """E230 where the model has no chat template."""
    with at_label(recipe.label("model.base")):
        template = read_template(facts.path)
    tokenizer = load_tokenizer(facts.path)
    pad = pad_id(facts.config, tokenizer)
    return ChatPlan(template=template.digest, marked=template.marked, pad=tokenizer.id_to_token(pad) or str(pad))


def _stride(recipe: Recipe, block: str, spec: DataSpec, length: int) -> int:
    """As written; the default, or what windows of this length can share. E038 for more than that."""
    most = overlap(length)
    if spec.stride > most and spec.stride != DataSpec.model_fields["stride"].default:
        message = f"windows of {length} tokens cannot overlap by {spec.stride}"
        at = recipe.label(f"{block}.stride")
        help = (f"write at most `{most} tokens`, or raise `max_length`",)
        notes = ("half of a window is reserved for the question, and every window must contain new tokens",)
        raise RecipeError(Diagnostic("E038", message, at, notes=notes, help=help))
    return min(spec.stride, most)


def _named_at(recipe: Recipe, block: str, spec: DataSpec, split: str) -> Label | None:
    if split.startswith(MIX):
        return recipe.label(f"{block}.{split}.source")
    own = split if getattr(spec, split, None) is not None else "source"
    return recipe.label(f"{block}.{own}")


def _only_its_columns(recipe: Recipe, block: str, spec: DataSpec, task: str) -> None:
    for name, _ in spec.columns:
        fields = task_of(task).fields
        if name not in fields:
            at = recipe.label(f"{block}.columns.{name}")
            help = (f"it reads {', '.join(f'`{f}`' for f in fields)}",)
            raise RecipeError(Diagnostic("E054", f"{task} reads no column `{name}`", at, help=help))


def _each_read_once(recipe: Recipe, block: str, meaning: Meaning) -> None:
    """E054 for a column that would be two things: a text that is its own label is learnt without learning anything."""
    read: dict[str, str] = {}
    for field, column in meaning.columns.items():
        other = read.setdefault(column, field)
        if other != field:
            message = f"`{column[:40]}` is read as `{other}` and as `{field}`"
            named = next((f for f in (field, other) if f"{block}.columns.{f}" in recipe.spans), field)
            at = recipe.label(f"{block}.columns.{named}")
            help = ("name another column for one of them",)
            raise RecipeError(Diagnostic("E054", message, at, help=help))


#: attributes of data that mean something for some tasks only: for those that have them among their `SETTINGS`
_OF_SOME_TASKS = (
    "classes",
    "unlabelled",
    "positive",
    "answer_is",
    "max_score",
    "prefix",
    "source_language",
    "target_language",
    "stride",
)


def _only_what_it_reads(recipe: Recipe, block: str, spec: DataSpec, task: str) -> None:
    for name in _OF_SOME_TASKS:
        if getattr(spec, name) != DataSpec.model_fields[name].default and name not in task_of(task).settings:
            message = f"`{name}` does not apply to {task}"
            tasks = [other for other in TASKS if name in task_of(other).settings]
            help = (f"remove it: it applies to {' and '.join(tasks)}",)
            raise RecipeError(Diagnostic("E054", message, recipe.label(f"{block}.{name}"), help=help))


def _split(spec: DataSpec, name: str, beside: Path, pins: Pins) -> SplitPlan:
    """A split is a file of its own, another reference, or a part of the source."""
    if name.startswith(MIX):
        mix = next(m for m in spec.mixes if f"{MIX}{m.name}" == name)
        return _located(mix.source, "train", beside, pins).model_copy(update={"config": mix.config})
    own = getattr(spec, name, None)
    if own is None and spec.source is None:
        given = ", ".join(f"`{n}`" for n in ("train", "validation", "test") if getattr(spec, n)) or "none"
        raise fail(
            "E074",
            f"the data has no `{name}` split",
            help=f"add `{name} = ...`, or a `source`",
            notes=[f"given: {given}"],
        )
    portion = (spec.shuffle_buffer or PORTION) if is_stream(spec, name) else None
    if own is None:
        return _located(spec.source or "", name, beside, pins, portion)
    if spec.source is not None and is_split(spec, own):
        return _located(spec.source, own, beside, pins, portion)  # a name: another split of the source
    return _located(own, name, beside, pins, portion)


def _located(reference: str, split: str, beside: Path, pins: Pins, portion: int | None = None) -> SplitPlan:
    """`portion`: of a stream, the records that are read together."""
    digest, stream = "", None if portion is None else StreamPlan(portion=portion)
    if is_local(reference):
        path = local_path(reference, beside)
        reference = str(path)
        if path.is_file() or is_several(path):
            digest = data_digest(path) if stream is None else stream_digest(path)
            stream = stream and of_files(stream, path)
    check_version(reference)
    if reference in pins:
        reference = f"{reference.partition('@')[0]}@{pins[reference]}"
    elif reference.startswith("hf://") and (commit := commit_now(reference)):
        reference = f"{reference.partition('@')[0]}@{commit}"
    return SplitPlan(reference=reference, split=split, digest=digest, stream=stream)


@dataclass(frozen=True)
class ClassFacts:
    """The classes of a model, as data and model have them together."""

    facts: ModelFacts
    data: tuple[str, ...]  # as the data call them
    counts: dict[str, int]  # examples of each in the split that decides, by the model's names
    own: tuple[str, ...] = ()  # what the model calls them
    replaced: str | None = None  # a label for which the model's own head goes
    listed: bool = False  # the data set or the recipe names them
    ordered: bool = False  # the data set, the recipe, or a trained head gives the order


def with_labels(
    facts: ModelFacts,
    recipe: Recipe,
    label: str,
    spec: DataSpec,
    splits: Sequence[str],
    meaning: Meaning,
    beside: Path,
    pins: Pins,
) -> ClassFacts:
    """The model as it will be for the classes of a split, or of all sources of a mixture; its head is new where they are
    not its own. E074, E075, E226."""
    block = f"data.{label}" if label else "data"
    several = [_labels_of(facts, recipe, block, spec, name, meaning, beside, pins) for name in splits]
    found = _together(recipe, block, splits, several) if spec.mixes and splits[0].startswith(MIX) else several[0]
    task = task_of(facts.task)
    if splits[0].startswith(MIX):
        assert task.classes is not None, "only a task that tells classes apart has labels"
        column, known = meaning.columns.get(task.classes.field, ""), found.names if found.known else ()
        with at_label(recipe.label(block)):
            make_classes(found.names, "the mixture", task.classes.field, column, known)
    split = splits[0]
    data, own = found.names, label_names(facts.config)
    if len(set(data)) < len(data):
        twice = next(name for name in data if data.count(name) > 1)
        help = "give every class its own name: `classes = [...]` in `data`"
        at = recipe.label(f"{block}.classes") if spec.classes else _named_at(recipe, block, spec, split)
        with at_label(at):
            raise fail("E074", f"two classes are called `{twice[:40]}`", help=help)
    strange = next((name for name in data if fits(name, own) is None), None)
    if strange is None and meaning.labels.get(split) == "both" and not all(fold(n) in _folded(own) for n in data):
        strange = next(name for name in data if name.isdecimal())  # among names, a number is one
    keeps = facts.has_head and strange is None
    if not keeps and not found.known:
        with at_label(_named_at(recipe, block, spec, split)):
            differ(data)
    made = read_model_facts(facts.path, facts.task, own if keeps else data, new_head=not keeps)
    counts: dict[str, int] = {}
    for name, n in found.counts.items():
        place = fits(name, made.labels)
        if place is not None:
            counts[made.labels[place]] = counts.get(made.labels[place], 0) + n
    ordered = (keeps and not say_nothing(own)) or found.known
    replaced = strange if facts.has_head and not keeps else None
    return ClassFacts(made, data, counts, own, replaced, listed=found.known, ordered=ordered)


def _labels_of(
    facts: ModelFacts,
    recipe: Recipe,
    block: str,
    spec: DataSpec,
    split: str,
    meaning: Meaning,
    beside: Path,
    pins: Pins,
) -> _Labels:
    where = _split(spec, split, beside, pins)
    classes = task_of(facts.task).classes
    assert classes is not None, "only a task that tells classes apart has labels"

    def names() -> _Labels:
        examples = open_split(facts.task, where, dict(spec.columns), spec.config, meaning)
        names = (classes.some if split.startswith(MIX) else classes.names)(examples)
        known = bool(examples.known)
        return _Labels(names=names, counts=classes.counts(examples), known=known)

    parts = ["labels", spec.config, sorted(dict(spec.columns).items()), facts.task, meaning.model_dump()]
    parts += [MIX] if split.startswith(MIX) else []
    with at_label(_named_at(recipe, block, spec, split)):
        return _remembered(parts, [where], _LABELS, names)


def _together(recipe: Recipe, block: str, splits: Sequence[str], several: Sequence[_Labels]) -> _Labels:
    """Of all sources of a mixture, by the one that has the most labels. E226 where another has one that it lacks."""
    most = max(range(len(several)), key=lambda i: len(several[i].names))
    names = several[most].names
    for split, one in zip(splits, several, strict=True):
        if strange := next((n for n in one.names if n not in names), None):
            message = f"the source `{split.removeprefix(MIX)[:40]}` has a label that `{splits[most].removeprefix(MIX)[:40]}` lacks"
            notes = (f"it has `{strange[:40]}`; the other has {listed(names, longest=40)}",)
            help = ("use one spelling in all sources, or list every class: `classes = [...]` in `data`",)
            raise RecipeError(Diagnostic("E226", message, recipe.label(f"{block}.{split}"), notes=notes, help=help))
    counts = {n: sum(one.counts.get(n, 0) for one in several) for n in names}
    return _Labels(names=names, counts=counts, known=all(one.known for one in several))


def _folded(names: Sequence[str]) -> set[str]:
    return {fold(name) for name in names}


#: what features count of what is lost on the way from data to inputs
_COUNTED = ("lost", "blank", "cut", "tokenless", "unanswered", "tokens_read", "tokens_predicted")


class _Size(Form):
    examples: Count
    items: Count
    sequences: Some
    lost: Count
    blank: Count
    cut: Count
    tokenless: Count
    unanswered: Count
    tokens_read: Count
    tokens_predicted: Count


class _Labels(Form):
    names: tuple[str, ...]
    counts: dict[str, Count]
    known: bool


_MEANING, _LABELS, _SIZE = TypeAdapter(Meaning), TypeAdapter(_Labels), TypeAdapter(_Size)
_COUNTS = TypeAdapter(tuple[Count, ...])


def _sizes(plan: DataPlan, name: str, model: Path) -> _Size:
    """Counted once of everything that decides it: the split, how the plan reads it, and all that the folder of the
    model says of tokens."""
    how = plan.model_dump_json(exclude={"splits", "examples", "items", "sequences", "mixture", *_COUNTED})
    how += f" {_samples(plan, name)}" if plan.mixture else ""

    def count() -> _Size:
        examples, features = load_split(plan, name, model)
        return _counts(examples, features)

    return _remembered([how, name, *_of_tokens(plan, model)], [plan.splits[name]], _SIZE, count)


def _counts(examples: Sequence[Any], features: Features) -> _Size:
    counted = {what: getattr(features, what, 0) for what in _COUNTED} | {"lost": len(getattr(features, "lost", ()))}
    return _Size(examples=len(examples), items=len(features), sequences=features.sequences, **counted)


def class_counts(plan: DataPlan, model: Path) -> tuple[int, ...]:
    """Labels of each class among the inputs of training, in the order of the head's outputs."""

    def count() -> tuple[int, ...]:
        labels = load_split(plan, "train", model)[1].labels  # type: ignore[attr-defined]
        return tuple(map(int, np.bincount(labels[labels >= 0], minlength=len(plan.labels))))

    how = plan.model_dump_json(exclude={"splits", "examples", "items", "sequences", *_COUNTED})
    return _remembered(["classes", how, *_of_tokens(plan, model)], [plan.splits["train"]], _COUNTS, count)


def _of_tokens(plan: DataPlan, model: Path) -> list[object]:
    """What decides which tokens there are, beside the data: every file of a model folder but its weights, by digest
    (tokenizers are described in many, and by the config), and software."""
    small = (p for p in sorted(model.iterdir()) if p.suffix in (".json", ".txt", ".model", ".jinja") and p.is_file())
    by = [installed(name) for name in ("transformers", "jinja2")] if plan.chat else []
    return [[(p.name, file_digest(p)) for p in small], *by]


def _remembered(
    parts: Sequence[object], splits: Sequence[SplitPlan], form: TypeAdapter[T], compute: Callable[[], T]
) -> T:
    """What was counted once of files' contents, with all else that it depends on."""
    read = _read_of(splits)
    return compute() if read is None else remembered("sizes", [*read, *parts], form, compute)


def _read_of(splits: Sequence[SplitPlan]) -> list[object] | None:
    """What decides how the content of these splits is read, and the content; None where it may change."""
    if any(s.stream or (not s.digest and not _is_fixed(s.reference)) for s in splits):
        return None
    software = [__version__, *(installed(name) for name in ("tokenizers", "numpy"))]
    # the ending of its name decides how a file is read
    read = [
        (
            s.digest or s.reference,
            "".join(Path(s.reference).suffixes[-2:]) if s.digest else "",
            s.split,
            *([s.config] if s.config else []),
        )
        for s in splits
    ]
    return [*software, read]


def _is_fixed(reference: str) -> bool:
    """Part of this software, or a commit of the Hub."""
    return reference.startswith("lib://") or is_commit(reference.partition("@")[2])


def load_examples(plan: DataPlan, name: str) -> tuple[Any, ...]:
    """The examples of a split. `samples` cuts the training split; of joined texts it counts blocks."""
    split = plan.splits[name]
    task = task_of(plan.task)
    examples = open_split(plan.task, split, plan.columns, plan.config, plan.meaning)
    samples = _samples(plan, name)
    return examples[:samples] if samples and not task.blocks else examples


def _samples(plan: DataPlan, name: str) -> int | None:
    """So many examples of a split, or blocks of its text, and no more."""
    if name.startswith(MIX):
        return next((m.samples for m in plan.mixture if f"{MIX}{m.name}" == name), None)
    return plan.samples if name == "train" else None


def load_split(
    plan: DataPlan, name: str, model: Path, first: int | None = None, *, anew: bool = False
) -> tuple[Sequence[Any], Features]:
    """Examples of a split, and the model inputs made of them with the tokenizer of a model folder.

    Inputs that were prepared before are taken from the cache folder; `anew` makes them whatever lies there.
    `first`: no more than so many, as an evaluation asks for.
    """
    if plan.mixture and name == "train":
        return _mixed(plan, model, anew)
    if not task_of(plan.task).blocks:
        return _prepared(plan, name, model, first, anew)
    samples = _samples(plan, name)
    draws = [] if not samples else [(samples, plan.draw_seed if plan.shuffle else None)]
    draws += [] if first is None else [(first, None)]
    # a draw is from all blocks, and only of the first ones the others need not be made
    most = max((n for n, _ in draws), default=None) if all(seed is None for _, seed in draws) else None
    examples, features = _prepared(plan, name, model, most, anew)
    for count, seed in draws:
        features = features.some(count, seed)  # type: ignore[attr-defined]
    return examples, features


def _mixed(plan: DataPlan, model: Path, anew: bool) -> tuple[Sequence[Any], Features]:
    """Of all sources of a mixture, one behind the other."""
    each = [load_split(plan, name, model, anew=anew) for name in plan.parts_of("train")]
    names, parts = tuple(m.name for m in plan.mixture), tuple(m.rows for m in plan.mixture)
    mixture = Mixture(names, parts, tuple(len(features) for _, features in each))
    examples = Later(lambda: [e for some, _ in each for e in some])
    return examples, Mixed(tuple(features for _, features in each), mixture)


def _prepared(plan: DataPlan, name: str, model: Path, first: int | None, anew: bool) -> tuple[Sequence[Any], Features]:
    """`first`: no more examples, or at least so many blocks."""
    task = task_of(plan.task)
    by = None if anew else _read_of([plan.splits[name]])

    def decided(first: int | None) -> list[object]:
        return [] if by is None else [*by, *_rows_by(plan, name, first), *_of_tokens(plan, model)]

    def examples() -> Sequence[Any]:
        found = load_examples(plan, name)
        return found if first is None or task.blocks else found[:first]

    def tokenizer() -> Any:
        return task.load_tokenizer(model)

    parts = decided(first)
    if parts and (prepared := recall(parts, plan.task, tokenizer)) is not None:
        return Later(examples), prepared
    if parts and task.blocks and first and (whole := recall(decided(None), plan.task, tokenizer)) is not None:
        return Later(examples), whole
    read = examples()
    features = _features(plan, name, model, first, read)
    # else of a file that changed meanwhile
    as_planned = bool(parts) and is_as_planned(plan.splits[name]) and decided(first) == parts
    if not as_planned or (kept := keep(parts, plan.task, features, tokenizer)) is features:
        return read, features
    return Later(examples), kept  # what was read need not stay in memory


def _features(plan: DataPlan, name: str, model: Path, first: int | None, examples: Sequence[Any]) -> Features:
    tokenizer = task_of(plan.task).load_tokenizer(model)
    return features_of(plan, name, model, tokenizer, examples, first)


def features_of(
    plan: DataPlan, name: str, model: Path, tokenizer: Any, examples: Sequence[Any], first: int | None = None
) -> Features:
    """Model inputs of examples, by a tokenizer that the task has loaded."""
    task = task_of(plan.task)
    with encoding_fails(model):
        if task.first_blocks and first is not None:
            features = task.first_blocks(examples, tokenizer, plan.max_length, first)
        else:
            features = featurized(task, examples, tokenizer, plan.max_length, plan.stride, plan.labels)
    fitting: Any = fitted(features, tokenizer, model, plan.task)
    return fitting.learnable(examples) if "stride" in task.settings and is_training(name) else fitting  # type: ignore[no-any-return]


def _rows_by(plan: DataPlan, name: str, first: int | None) -> list[object]:
    """All of a plan that decides which rows a split has; what only orders or counts them is none of it."""
    own = {"task", "config", "columns", "meaning", "max_length", "stride", "labels", "chat"}
    cut = None if task_of(plan.task).blocks else _samples(plan, name)
    return ["rows 1", plan.model_dump_json(include=own), name, first, cut]
