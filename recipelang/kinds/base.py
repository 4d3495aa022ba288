"""What a kind of value is, and what is said of a value that is of another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import NoneType
from typing import Any, ClassVar, get_args

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from recipelang.kinds.form import value_form
from recipelang.kinds.text import show
from recipelang.source import Span
from recipelang.source.frozen import frozen
from recipelang.source.suggest import closest
from recipelang.values import aliases
from recipelang.values.composite import (
    Applied,
    Arrow,
    Between,
    Poison,
    SparsityPattern,
    StageRef,
    Symbol,
    Tolerance,
)
from recipelang.values.quantities import Quantity, Rate, Time, describe as describe_number, show_fraction


@frozen
class Evaluated:
    """The context of a validation whose values come from the evaluator; without it they are plain data.

    `meant`: plain values of misspelt attributes, by the right names.
    """

    meant: Mapping[str, object] = field(default_factory=dict)


@dataclass(repr=False, eq=False)
class Mismatch(Exception):
    """A value that is not of the kind asked for.

    `replacement` is a safe fix for the whole value, or for `span`, where a part of it is meant.
    """

    code: str
    message: str
    help: str | None = None
    replacement: str | None = None
    span: Span | None = None
    #: the name of the part that is meant: a value, a function or an argument
    subject: str | None = None
    #: the bare name that was met, and the names that would do
    name: str | None = None
    known: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def error(self) -> PydanticCustomError:
        """The same for pydantic: the code is its type, everything else its context."""
        return PydanticCustomError(self.code or "unread", "{message}", {"message": self.message, "mismatch": self})  # type: ignore[arg-type]


class Silent(Mismatch):
    """A part of the value could not be evaluated; that was said where it stands."""

    def __init__(self) -> None:
        super().__init__("", "")


class Kind(ABC):
    """One kind of value. As an annotation, `Annotated[int, Count("token", 1)]`, it makes a pydantic type.

    A subclass says how plain data are checked and, where an evaluated value is not plain data yet, how it is read.
    """

    #: how the type is written in messages and reference pages
    name: str
    #: bare names that are values, and words of the language that are: `true`, `none`
    symbols: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    #: how a value is written, and which values there are beyond the type's own bounds
    doc: str = ""
    within: str = ""
    #: JSON Schema of a value in the canonical form
    json: Mapping[str, object] = {}
    #: whether bare names of any kind are read by the kind itself
    bare: bool = False
    #: whether a value from the command line is raw text, not a literal of the grammar
    raw: ClassVar[bool] = False

    # -------------------------------------------------------------------- in
    def read(self, value: object) -> Any:
        """Plain data of an evaluated value, or `Mismatch`."""
        if isinstance(value, Poison):
            raise Silent
        if isinstance(value, Symbol) and value.name not in self.symbols and not self.bare:
            raise self.unknown(value)
        return self._read(value)

    def _read(self, value: object) -> object:
        self.check(value)
        return value

    @abstractmethod
    def check(self, value: object) -> None:
        """`Mismatch` for what is no plain data of this kind."""

    @abstractmethod
    def written(self, form: object) -> str:
        """Recipe text of a value's JSON form, or `Unfit`."""

    # ------------------------------------------------------------------- out
    def text(self, value: object) -> str:
        """Plain data as recipe text."""
        return show(value)

    def form(self, value: object) -> object:
        """Plain data as JSON, with numbers as strings."""
        return value_form(value)

    def edit(self, value: object, operator: str, change: object) -> object:
        """What `+=` or `-=` makes of an inherited value."""
        raise Mismatch("E031", f"`{operator}` edits lists and selectors only", "write `=` and the whole value")

    # ----------------------------------------------------------------- names
    def hint(self, name: str) -> str | None:
        """Of a kind that takes no bare name: what may have been meant by one."""
        return None

    #: what before a bare name mends it
    sign: str = ""

    def unknown(self, value: Symbol) -> Mismatch:
        """Without help where nothing is near and nothing known: who shows it knows whether a `let` could be written."""
        message = f"unknown name `{value.name}`"
        if hint := self.hint(value.name):
            mended = self.sign + value.name if self.sign else None
            return Mismatch("E022", message, hint, mended, subject=value.name, name=value.name, known=self.words)
        near = closest(value.name, self.symbols, self.words)
        near = near or aliases.meant(value.name, aliases.SYMBOLS, self.symbols + self.words)
        known = ", ".join(f"`{s}`" for s in self.symbols[:12])
        hint = f"did you mean `{near}`?" if near else (f"known here: {known}" if known else None)
        known_here = self.symbols + self.words
        return Mismatch("E022", message, hint, near, subject=value.name, name=value.name, known=known_here)

    def help_outside(self, mismatch: Mismatch) -> str | None:
        """For a value that comes from outside a recipe, where no `let` defines a name."""
        of_type = f"`{self.name}` is {self.doc}" if mismatch.code == "E022" and self.doc else None
        return mismatch.help or of_type

    # -------------------------------------------------------------- pydantic
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        may_be_unset = NoneType in get_args(source)

        def validate(value: object, info: ValidationInfo) -> object:
            try:
                if isinstance(info.context, Evaluated):
                    return self.read(value)
                if not (value is None and may_be_unset):
                    self.check(value)
                return value
            except Mismatch as mismatch:
                raise mismatch.error() from None

        out = core_schema.plain_serializer_function_ser_schema(self.form, when_used="json")
        return core_schema.with_info_plain_validator_function(validate, serialization=out)


# ----------------------------------------------------------------------- messages
def describe(value: object) -> str:
    """What a value is, with its article: `a string`, `a number of tokens`."""
    match value:
        case bool():
            return f"`{'true' if value else 'false'}`"
        case None:
            return "`none`"
        case str():
            return "a string"
        case int() | Fraction() | float():
            return "a plain number"
        case Quantity() | Time() | Rate():
            return describe_number(value)
        case Symbol():
            return f"the name `{value.name}`"
        case StageRef():
            return "a stage"
        case tuple() | list():
            return "a list"
        case Applied():
            return f"the call `{value.function}(...)`"
        case SparsityPattern():
            return "a sparsity pattern"
    return {"Arrow": "a change `a -> b`", "Between": "a range", "Tolerance": "a value with `±`"}.get(
        type(value).__name__, "a selector"
    )


def wrong(value: object, wanted: str, help: str | None = None) -> Mismatch:
    """Raises `Silent` at once for what could not be evaluated."""
    if isinstance(value, Poison) or any(isinstance(end, Poison) for end in _ends(value)):
        raise Silent
    name = value.name if isinstance(value, Symbol) else None
    return Mismatch("E024", f"expected {wanted}, found {describe(value)}", help, subject=name, name=name)


def quoted(value: object, wanted: str, names: tuple[str, ...], help: str | None = None) -> Mismatch:
    """`wrong`, and mended where it is one of the names in quotes."""
    mismatch = wrong(value, wanted, help)
    if isinstance(value, str) and value in names:
        mismatch.help, mismatch.replacement = f"write `{value}`, without quotes", value
    return mismatch


def misnamed(message: str, name: str, near: str | None, call: Applied, otherwise: str) -> Mismatch:
    """E051 for a name that is no argument; mended by the nearest one, unless the call has that already."""
    if near is None:
        return Mismatch("E051", message, otherwise, subject=name)
    if any(given == near for given, _, _ in call.arguments):
        return Mismatch("E051", message, f"`{near}` is already given: remove one of the two", subject=name)
    return Mismatch("E051", message, f"did you mean `{near}`?", near, subject=name)


def _ends(value: object) -> tuple[object, ...]:
    match value:
        case Arrow(a, b) | Between(a, b) | Tolerance(a, b):
            return a, b
        case Applied():
            return tuple(inner for _, inner, _ in value.arguments)
    return ()


# ------------------------------------------------------------------------- bounds
def whole(value: Fraction, what: str, low: int) -> int:
    """A whole number of `what`, at least `low`, or `Mismatch`."""
    if value.denominator != 1:
        near = f"write `{round(value)} {what}`" if what != "bytes" else "write it in a smaller unit"
        raise Mismatch("E024", f"expected a whole number of {what}, found {show_fraction(value)}", near)
    bounds(value, low, None, False)
    return int(value)


def bounds(value: Fraction | int, low: Fraction | int | None, high: Fraction | int | None, above: bool) -> None:
    """E038 outside of them; `above` leaves out the lower one."""
    if low is not None and (value < low or (above and value == low)):
        raise Mismatch(
            "E038",
            f"{show_fraction(Fraction(value))} is too small",
            f"it must be {'above' if above else 'at least'} {low}",
        )
    if high is not None and value > high:
        raise Mismatch("E038", f"{show_fraction(Fraction(value))} is too large", f"it must be at most {high}")


def check_whole(value: object, wanted: str, low: int | None) -> None:
    """Plain data: an `int`, at least `low`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(value, wanted)
    bounds(value, low, None, False)
