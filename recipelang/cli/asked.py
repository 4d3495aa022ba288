"""What `init` is told, by options or on a terminal: read by the rules of the language, or a coded error."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

import typer

from recipelang.cli import screen, starter
from recipelang.kinds.base import Kind, Mismatch
from recipelang.kinds.measures import Stretch
from recipelang.kinds.plain import Ratio, Reference
from recipelang.planning.facts import read_config, read_model_facts
from recipelang.planning.references import is_local, local_path
from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError, Source, Span, at_label, fail
from recipelang.source.suggest import closest
from recipelang.source.words import listed
from recipelang.spec.blocks import ModelSpec
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.metrics import TASKS
from recipelang.spec.params import literal
from recipelang.tasks import task_of
from recipelang.tasks.fitting import Fit, columns_of, count, fitting
from recipelang.tasks.reading import opened
from recipelang.tasks.shards import ENDINGS, files
from recipelang.values.composite import Poison, Symbol
from recipelang.values.quantities import Time

T = TypeVar("T")


@dataclass(frozen=True)
class Asker:
    """Takes what was given, asks on a terminal until the answer can be read, or takes the default."""

    interactive: bool

    def __call__(self, question: str, given: str | None, default: str | None, read: Callable[[str], T]) -> T:
        """A `default` that is none has to be answered: only a terminal is asked such a question."""
        if given is not None or not self.interactive:
            return read(given if given is not None else default or "")
        while True:
            try:
                return read(typer.prompt(question, default, err=True))
            except RecipeError as error:
                screen.show_error(error)


def check_free(path: Path, force: bool) -> None:
    """Nothing is overwritten by accident, and a question is not asked in vain."""
    if path.is_dir():
        raise fail("E084", f"`{path}` is a folder", help=f"name a file in it: `{path / 'first.recipe'}`")
    if path.exists() and not force:
        raise fail("E084", f"`{path}` is there already", help="choose another name, or replace it with `--force`")
    if not path.parent.exists():
        raise fail("E084", f"there is no folder `{path.parent}`", help="make it first")


def reference(what: Literal["model", "dataset"], option: str) -> Callable[[str], str]:
    """A model or data set; a path is written as it is typed."""

    def read(text: str) -> str:
        return str(_coerce(Reference(what), text, option, text))

    return read


def model(text: str) -> str:
    """A reference, or the folder of a model. E046, E073, E076 as a plan says them."""
    value = reference("model", "--model")(text)
    if is_local(value):
        with at_label(_whole("--model", text)):
            read_config(local_path(value, Path()))
    return value


def data(option: str) -> Callable[[str], str]:
    """A reference, or files that are there. E046, E074, E210 to E212 as a plan says them."""

    def read(text: str) -> str:
        value = reference("dataset", option)(text)
        if is_local(value):
            with at_label(_whole(option, text)):
                for file in files(local_path(value, Path())):
                    with opened(file, ENDINGS):
                        pass
        return value

    return read


def columns(given: Sequence[str]) -> dict[str, str]:
    """`--column FIELD=COLUMN`, each field once."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, column = text.partition("=")
        known = sorted({f for t in TASKS for f in task_of(t).fields})
        if not (name and equals and column):
            raise _refused("E022", "a column is written FIELD=COLUMN", "such as `text=review`", "--column", text)
        if name not in known:
            raise _refused("E022", f"`{name}` is no field", f"fields are {listed(known)}", "--column", text)
        if name in found:
            raise _refused("E022", f"`{name}` has two columns", "name one column for a field", "--column", text)
        found[name] = column
    return found


@dataclass(frozen=True)
class Found:
    """What the data are good for, as far as they are on this machine."""

    task: str
    #: training examples
    examples: int | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suits:
    """What a model is pruned by, as far as it is on this machine."""

    #: a selector of what is pruned
    targets: str = ""
    #: tokens that the model reads
    positions: int | None = None
    has_head: bool = True


def look(
    ask: Asker, train: str, name: str | None, named: Mapping[str, str], examples: str | None, model: str | None
) -> Found:
    """The task that is named, or that the data fit, and what of them is known. E074, and others of the data."""
    path = local_path(train, Path()) if is_local(train) else None
    fits: Sequence[Fit] = ()
    with at_label(_whole("--data", train)):
        if name is None and path is not None:
            fits = _fits(path, named, model)
            name = ask("Task", None, fits[0].task, task)
            if not ask.interactive:
                _tell(fits, path)
        name = name or ask("Task", None, starter.TASK, task)
        if path is None:
            return Found(name, ask("Number of training examples (empty: unknown)", examples, "", number))
        reads = next(iter([fit for fit in fits if fit.task == name] or fitting(path, [name], named)), None)
        if reads is None:
            _say_what_it_lacks(path, name, named)
        counted = None if reads is None or examples is not None else count(path, name, named)
    if counted is None and (examples is not None or not task_of(name).blocks):
        counted = ask("Number of training examples (empty: unknown)", examples, "", number)
    measured = starter.first_of(name).measured
    return Found(name, counted, measured(reads.columns) if measured and reads else ())


def _say_what_it_lacks(path: Path, name: str, named: Mapping[str, str]) -> None:
    """As the task says it; and what to type here."""
    try:
        task_of(name).open_split(str(path), "train", named)
    except RecipeError as error:
        here = f"fields of {name} are {listed(task_of(name).fields)}: `--column FIELD=COLUMN` names a column here"
        raise RecipeError([replace(d, notes=(*d.notes, here)) for d in error.diagnostics]) from None


def _fits(path: Path, named: Mapping[str, str], model: str | None) -> list[Fit]:
    """The tasks that a file fits, those first that a local model can do. E074 where there is none."""
    found = fitting(path, TASKS, named)
    there = columns_of(path) if named or not found else ()
    if (wrong := next((c for c in named.values() if c not in there), None)) and not wrong.isdecimal():
        near = closest(wrong, there)
        help = f"did you mean `{near}`?" if near else "name one that is there"
        notes = [f"its columns are {listed(there, longest=40)}"]
        raise fail("E074", f"`{path.name}` has no column `{wrong[:40]}`", help=help, notes=notes)
    if not found:
        help = "name the task, and the column of each field: `--task NAME --column FIELD=COLUMN`"
        notes = [f"they are {listed(there, longest=40)}"]
        raise fail("E074", f"the columns of `{path.name}` fit no task", help=help, notes=notes)
    alike = [fit for fit in found if len(fit.columns) == len(found[0].columns)]
    if model is None or not is_local(model):
        return alike
    return sorted(alike, key=lambda fit: not _is_of(model, fit.task))


def _is_of(model: str, task: str) -> bool:
    """Whether a local model was made for this task, as its config says."""
    made = "".join(map(str, read_config(local_path(model, Path())).get("architectures") or ()))
    head = task_of(task).auto_model.removeprefix("AutoModelFor").replace("Seq2SeqLM", "ConditionalGeneration")
    return made.endswith(head)


def _tell(fits: Sequence[Fit], path: Path) -> None:
    columns = listed([*fits[0].columns.values()], longest=40)
    by = f", by the columns {columns} of `{path.name}`" if columns else ""
    others = listed([fit.task for fit in fits[1:]])
    also = f"; they fit {others} too: `--task NAME` chooses" if others else ""
    screen.tell(f"task: `{fits[0].task}`{by}{also}", to_errors=True)


def suits(model: str, name: str) -> Suits:
    """E073 and E076 where a local model cannot do the task."""
    if not is_local(model):
        return Suits()
    with at_label(_whole("--model", model)):
        facts = read_model_facts(local_path(model, Path()), name)
    roles = {role for tensor in facts.tensors for role in tensor.roles}
    stacks = [f"@{role}" for role in ("encoder", "decoder") if role in roles]
    either = f"({' | '.join(stacks)})" if len(stacks) > 1 else "".join(stacks)
    return Suits(f"@linear & {either}" if stacks else "@linear", facts.max_positions, facts.has_head)


def only_if_trained(name: str, length: str | None, distill: bool | None) -> None:
    """E054 for what was asked of a training stage, of a task whose first recipe has none."""
    help = f"remove it: a first recipe for {name} has no training stage"
    if length is not None:
        raise _refused("E054", "pruning in one shot has no length", help, "--length", length)
    if distill:
        raise _refused("E054", "pruning in one shot has no teacher", help, "--distill", "--distill")


def to_measure(ask: Asker, train: str, given: str | None) -> str | None:
    """The data to evaluate on; none: a split of the training data. E074 where files have none beside them."""
    if given is None and not is_local(train):
        return None
    if given is None and (guess := _beside(train)) is None and not ask.interactive:
        help = "name a file that training does not see: `--validation FILE`"
        with at_label(_whole("--data", train)):
            raise fail("E074", f"no file to evaluate on lies beside `{Path(train).name}`", help=help)
    return ask("Data to evaluate on", given, guess if given is None else None, data("--validation"))


def _beside(train: str) -> str | None:
    """A file that is named as the training data, but for that word: `dev.tsv` beside `train.tsv`."""
    path = Path(train)
    names = [path.name.replace("train", word, 1) for word in ("validation", "valid", "dev", "eval", "test")]
    return next((str(path.with_name(n)) for n in names if n != path.name and path.with_name(n).exists()), None)


def from_folder(reference: str, beside: Path) -> str:
    """A path typed here, as it is found from the recipe's own folder."""
    if "://" in reference or reference.startswith("~") or os.path.isabs(reference):
        return reference
    return os.path.relpath(reference, beside)


def task(text: str) -> str:
    attribute = ModelSpec.attributes()["task"]
    return str(_coerce(attribute.kind, Symbol(text), "--task", text))


def number(text: str) -> int | None:
    """Of examples; nothing where it is unknown. E038."""
    if not text.strip():
        return None
    value = text.replace("_", "").replace(",", "")
    if not (value.isdecimal() and 0 < int(value) < 10**12):
        raise _refused("E038", f"{text} is no number of examples", "write `12000`", "--examples", text)
    return int(value)


def target(text: str) -> Fraction:
    value = _value(Ratio(), "--target", text)
    assert isinstance(value, Fraction)
    if not Fraction(1, 100) <= value <= Fraction(99, 100):
        raise _refused("E038", f"{text} is outside 1%..99%", "90% is a good start", "--target", text)
    return value


def length(text: str) -> Time:
    value = _value(Stretch(), "--length", text)
    assert isinstance(value, Time)
    if value.epochs < 0 or value.steps < 0 or not (value.epochs or value.steps):
        raise _refused(
            "E038", "the length must be more than nothing", "write `10 epochs` or `300 steps`", "--length", text
        )
    return value


def _value(kind: Kind, option: str, text: str) -> object:
    """A literal of the language, of one type."""
    found = Diagnostics()
    source = Source(option, text)
    expr = literal(source, found)
    value = Evaluator(source, found).value(expr) if expr is not None else None
    if len(found) or isinstance(value, Poison):
        raise RecipeError(found.sorted())
    return _coerce(kind, value, option, text)


def _coerce(kind: Kind, value: object, option: str, text: str) -> object:
    try:
        return kind.read(value)
    except Mismatch as mismatch:
        raise _refused(mismatch.code, mismatch.message, kind.help_outside(mismatch), option, text) from None


def _refused(code: str, message: str, help: str | None, option: str, text: str) -> RecipeError:
    return RecipeError(Diagnostic(code, message, _whole(option, text), help=(help,) if help else ()))


def _whole(option: str, text: str) -> Label:
    return Label(Source(option, text), Span(0, len(text)))
