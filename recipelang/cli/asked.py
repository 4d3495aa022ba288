"""What `init` is told, by options or on a terminal: read by the rules of the language, or a coded error."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

import typer

from recipelang.cli import screen
from recipelang.cli.starter import LIBRARY, TASKS
from recipelang.kinds.base import Kind, Mismatch
from recipelang.kinds.measures import Stretch
from recipelang.kinds.plain import Ratio, Reference
from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError, Source, Span, fail
from recipelang.spec.blocks import ModelSpec
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.params import literal
from recipelang.values.composite import Poison, Symbol
from recipelang.values.quantities import Time

T = TypeVar("T")


@dataclass(frozen=True)
class Asker:
    """Takes what was given, asks on a terminal until the answer can be read, or takes the default."""

    interactive: bool

    def __call__(self, question: str, given: str | None, default: str, read: Callable[[str], T]) -> T:
        if given is not None or not self.interactive:
            return read(default if given is None else given)
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


def reference(what: Literal["model", "dataset"], beside: Path) -> Callable[[str], str]:
    """A model or data set; a path typed here is written as it is found from the recipe's own folder."""

    def read(text: str) -> str:
        value = str(_coerce(Reference(what), text, f"--{'data' if what == 'dataset' else what}", text))
        if "://" in value or value.startswith("~") or os.path.isabs(value):
            return value
        return os.path.relpath(value, beside)

    return read


def task(text: str) -> str:
    attribute = ModelSpec.attributes()["task"]
    value = str(_coerce(attribute.kind, Symbol(text), "--task", text))
    if value not in TASKS:
        begin = LIBRARY.get(value, "lib://squad/gmp-90")
        help = f"begin with one of the library: `recipelang plan {begin}`, or `extends` it"
        raise _refused("E055", f"a first recipe for `{text}` is not in this release yet", help, "--task", text)
    return value


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
    at = Label(Source(option, text), Span(0, len(text)))
    return RecipeError(Diagnostic(code, message, at, help=(help,) if help else ()))
