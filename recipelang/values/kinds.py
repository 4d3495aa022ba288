"""What an attribute may hold, and how a value becomes that.

A kind turns an evaluated value into plain data, or says precisely what is
wrong. It also knows its own name for messages, reference pages and the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from recipelang.source import Span
from recipelang.source.suggest import closest
from recipelang.values import aliases
from recipelang.values.composite import (
    PATTERNS,
    Applied,
    Arrow,
    Between,
    Poison,
    SparsityPattern,
    StageRef,
    Symbol,
    Tolerance,
)
from recipelang.values.quantities import Quantity, Rate, Time, describe as describe_number


@dataclass
class Mismatch(Exception):
    """A value that is not of the kind asked for.

    `replacement` is a safe fix for the whole value, or for `span`, where a part of it is meant.
    """

    code: str
    message: str
    help: str | None = None
    replacement: str | None = None
    span: Span | None = None
    #: the bare name that was met, and the names that would do
    name: str | None = None
    known: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Silent(Mismatch):
    """A part of the value could not be evaluated; that was said where it stands."""

    def __init__(self) -> None:
        super().__init__("", "")


def describe(value: object) -> str:
    """What a value is, with its article: `a string`, `a number of tokens`."""
    match value:
        case bool():
            return f"`{'true' if value else 'false'}`"
        case None:
            return "`none`"
        case str():
            return "a string"
        case Quantity() | Time() | Rate():
            return describe_number(value)
        case Symbol():
            return f"the name `{value.name}`"
        case StageRef():
            return "a stage"
        case tuple():
            return "a list"
        case Applied():
            return f"the call `{value.function}(...)`"
        case SparsityPattern():
            return "a sparsity pattern"
    return {"Arrow": "a change `a -> b`", "Between": "a range", "Tolerance": "a value with `±`"}.get(
        type(value).__name__, "a selector"
    )


@dataclass(frozen=True)
class Kind:
    """`name` is how the type is written in messages and reference pages.

    `doc` says how a value is written, `within` which values there are beyond the type's own bounds, and
    `json` is the JSON Schema of the converted value in the canonical form.
    """

    name: str
    convert: Callable[[object], object] = field(compare=False)
    symbols: tuple[str, ...] = ()
    #: words of the language that are values here: `true`, `none`
    words: tuple[str, ...] = ()
    doc: str = field(default="", kw_only=True, compare=False)
    within: str = field(default="", kw_only=True, compare=False)
    json: Mapping[str, object] = field(default_factory=dict, kw_only=True, compare=False)

    def coerce(self, value: object) -> object:
        """Plain data, or raise `Mismatch`."""
        if isinstance(value, Poison):
            raise Silent
        if isinstance(value, Symbol) and value.name not in self.symbols:
            raise self.unknown(value)
        return self.convert(value)

    def unknown(self, value: Symbol) -> Mismatch:
        """Without help where nothing is near and nothing known: who shows it knows whether a `let` could be written."""
        near = closest(value.name, self.symbols, self.words)
        near = near or aliases.meant(value.name, aliases.SYMBOLS, self.symbols + self.words)
        known = ", ".join(f"`{s}`" for s in self.symbols[:12])
        hint = f"did you mean `{near}`?" if near else (f"known here: {known}" if known else None)
        return Mismatch(
            "E022", f"unknown name `{value.name}`", hint, near, name=value.name, known=self.symbols + self.words
        )

    def help_outside(self, mismatch: Mismatch) -> str | None:
        """For a value that comes from outside a recipe, where no `let` defines a name."""
        of_type = f"`{self.name}` is {self.doc}" if mismatch.code == "E022" and self.doc else None
        return mismatch.help or of_type


def wrong(value: object, wanted: str, help: str | None = None) -> Mismatch:
    """Raises `Silent` at once for what could not be evaluated."""
    if isinstance(value, Poison) or any(isinstance(end, Poison) for end in _ends(value)):
        raise Silent
    name = value.name if isinstance(value, Symbol) else None
    return Mismatch("E024", f"expected {wanted}, found {describe(value)}", help, name=name)


def misnamed(message: str, near: str | None, call: Applied, otherwise: str) -> Mismatch:
    """E051 for a name that is no argument; mended by the nearest one, unless the call has that already."""
    if near is None:
        return Mismatch("E051", message, otherwise)
    if any(given == near for given, _, _ in call.arguments):
        return Mismatch("E051", message, f"`{near}` is given already: take one of the two out")
    return Mismatch("E051", message, f"did you mean `{near}`?", near)


def _ends(value: object) -> tuple[object, ...]:
    match value:
        case Arrow(a, b) | Between(a, b) | Tolerance(a, b):
            return a, b
        case Applied():
            return tuple(inner for _, inner, _ in value.arguments)
    return ()


def text() -> Kind:
    def convert(value: object) -> object:
        if not isinstance(value, str):
            raise wrong(value, "a string", 'strings are written `"..."`')
        return value

    return Hinting(
        "string",
        convert,
        doc="text in quotes; `${NAME}` inside stands for a parameter or let",
        json={"type": "string"},
        hint=lambda name: f'a string is written in quotes: `"{name}"`',
    )


def boolean() -> Kind:
    def convert(value: object) -> object:
        if not isinstance(value, bool):
            raise wrong(value, "`true` or `false`")
        return value

    return Hinting(
        "bool",
        convert,
        words=("true", "false"),
        doc="`true` or `false`",
        json={"type": "boolean"},
        hint=lambda name: "write `true` or `false`",
    )


def number(
    low: Fraction | int | None = None,
    high: Fraction | int | None = None,
    *,
    whole: bool = False,
    none: bool = False,
    above: bool = False,
) -> Kind:
    """A plain number; `above` makes the lower bound exclusive, `none` allows `none`."""
    name = "int" if whole else "number"

    def convert(value: object) -> object:
        if none and value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, Quantity) or value.unit is not None:
            mismatch = wrong(value, "a whole number" if whole else "a plain number")
            if isinstance(value, str) and value.isdecimal():
                mismatch.help, mismatch.replacement = f"write `{value}`, without quotes", value
            raise mismatch
        if whole and value.value.denominator != 1:
            raise Mismatch("E024", f"expected a whole number, found {show_fraction(value.value)}")
        _bounds(value.value, low, high, above)
        return int(value.value) if whole else value.value

    return Kind(
        name + (" or none" if none else ""),
        convert,
        words=("none",) if none else (),
        doc="a whole number: `42`, `1_000`" if whole else "an exact number: `0.5`, `8e-5`, `1_000`",
        within=_within(low, high, above),
        json=_or_null({"$ref": f"#/$defs/{name}"}, none),
    )


def ratio() -> Kind:
    def convert(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, Quantity) or value.unit is not None:
            raise wrong(value, "a ratio", "write it as `90%` or `0.9`")
        if not 0 <= value.value <= 1:
            plain = show_fraction(value.value)
            fits = 1 < value.value <= 100 and not value.percent
            raise Mismatch(
                "E038",
                f"{show_fraction(value.value * 100)}% is outside 0%..100%"
                if value.percent
                else f"{plain} is outside 0%..100%",
                f"did you mean `{plain}%`?" if fits else "a ratio lies between `0%` and `100%`",
                f"{plain}%" if fits else None,
            )
        return value.value

    doc = "a share from `0%` to `100%`; `90%` and `0.9` are the same"
    return Kind("ratio", convert, doc=doc, within="0%..100%", json={"$ref": "#/$defs/ratio"})


def span(unit: str = "") -> Kind:
    """A length in a run; `unit` (`epochs` or `steps`) allows only that one."""
    wanted = f"a number of {unit}" if unit else "a number of epochs or steps"

    def convert(value: object) -> object:
        if not isinstance(value, Time):
            hint = "write `2 epochs` or `100 steps`"
            if isinstance(value, Quantity) and value.unit is None and not value.percent:
                n = show_fraction(value.value)
                hint = f"write `{n} {unit}`" if unit else f"write `{n} epochs` or `{n} steps`"
            raise wrong(value, wanted, hint)
        if (unit == "epochs" and value.steps) or (unit == "steps" and value.epochs):
            raise wrong(value, wanted, f"write it in {unit}, as in `2 {unit}`")
        return value

    doc = f"a stretch of a run in {unit} only: `2 {unit}`"
    if not unit:
        doc = "a stretch of a run: `2 epochs`, `100 steps`, or a sum of both"
    return Kind(unit or "span", convert, doc=doc, json={"$ref": "#/$defs/span"})


def count(unit: str, least: int = 0) -> Kind:
    """A whole number of `unit`; a plain whole number is taken as one."""

    def convert(value: object) -> object:
        if (
            isinstance(value, bool)
            or not isinstance(value, Quantity)
            or value.unit not in (None, unit)
            or value.percent
        ):
            raise wrong(value, f"a number of {unit}s", f"write `128 {unit}s`")
        return _whole(value.value, f"{unit}s", least)

    doc = f"a whole number of {unit}s: `128 {unit}s`, or `128` alone"
    return Kind(f"{unit}s", convert, doc=doc, within=f"at least {least}", json={"$ref": f"#/$defs/{unit}s"})


def size(*, none: bool = False) -> Kind:
    def convert(value: object) -> object:
        if none and value is None:
            return None
        if not isinstance(value, Quantity) or value.unit != "byte":
            raise wrong(value, "a size in bytes", "write it as `5 GB` or `512 MiB`")
        return _whole(value.value, "bytes", 1)

    doc = "a size in whole bytes: `5 GB`, `512 MiB`"
    words = ("none",) if none else ()
    json = _or_null({"$ref": "#/$defs/bytes"}, none)
    return Kind("bytes" + (" or none" if none else ""), convert, words=words, doc=doc, within="at least 1 B", json=json)


def one_of(*names: str) -> Kind:
    def convert(value: object) -> object:
        if not isinstance(value, Symbol):
            mismatch = wrong(value, "one of " + ", ".join(f"`{n}`" for n in names))
            if isinstance(value, str) and value in names:
                mismatch.help, mismatch.replacement = f"write `{value}`, without quotes", value
            raise mismatch
        return value.name

    return Kind(" | ".join(names), convert, names, doc="one of these names, without quotes", json={"enum": [*names]})


def reference(what: str, *, stages: bool = False) -> Kind:
    """A model or data set: a string with a scheme or a path; `stage.NAME` where stages count."""

    def convert(value: object) -> object:
        if isinstance(value, str) or (stages and isinstance(value, StageRef)):
            if value == "":
                raise Mismatch("E024", f"the {what} is an empty string")
            return value
        raise wrong(value, f"a {what}", 'write a reference such as `"hf://owner/name"` or a path, in quotes')

    def hint(name: str) -> str:
        stage = f"an earlier stage is written `stage.{name}`; " if stages else ""
        return f'{stage}a {what} is written in quotes: `"{name}"`'

    doc = {
        "model": '`"hf://OWNER/NAME"`, `"package://DISTRIBUTION/PATH"`, or the path of a folder, in quotes',
        "dataset": '`"hf://OWNER/NAME"`, `"lib://NAME"`, or the path of a file, in quotes',
    }[what]
    doc += "; `stage.NAME` is the model as an earlier stage left it" if stages else ""
    forms: list[object] = [{"type": "string"}, {"$ref": "#/$defs/content"}]
    forms += [{"$ref": "#/$defs/stage"}] if stages else []
    return Hinting(what, convert, doc=doc, json={"anyOf": forms}, hint=hint)


def pattern() -> Kind:
    def convert(value: object) -> object:
        if isinstance(value, Symbol):
            return SparsityPattern("unstructured")
        if isinstance(value, Applied) and value.function == "block":
            if any(isinstance(v, Poison) for _, v, _ in value.arguments):
                raise Silent
            sides = [v.value for _, v, _ in value.arguments if isinstance(v, Quantity) and v.unit is None]
            if len(sides) == len(value.arguments) == 2 and all(s.denominator == 1 and s > 0 for s in sides):
                return SparsityPattern("block", int(sides[0]), int(sides[1]))
            raise Mismatch("E024", "`block` takes two whole numbers", "write `block(4, 1)`")
        if not isinstance(value, SparsityPattern):
            raise wrong(value, "a sparsity pattern", "write `unstructured`, `2:4` or `block(4, 1)`")
        return value

    doc = ", ".join(f"`{form}`" for form in PATTERNS)
    return Kind("pattern", convert, ("unstructured",), doc=doc, json={"$ref": "#/$defs/pattern"})


@dataclass(frozen=True)
class Hinting(Kind):
    """A kind that takes no bare name: `hint` says what may have been meant by one; `sign` before it mends it."""

    hint: Callable[[str], str] = field(default=str, compare=False)
    sign: str = ""

    def unknown(self, value: Symbol) -> Mismatch:
        mended = self.sign + value.name if self.sign else None
        message, hint = f"unknown name `{value.name}`", self.hint(value.name)
        return Mismatch("E022", message, hint, mended, name=value.name, known=self.words)


@dataclass(frozen=True)
class _AnyName(Kind):
    def coerce(self, value: object) -> object:
        return self.convert(value)


def label() -> Kind:
    """The label of another block: a bare name or a string."""

    def convert(value: object) -> object:
        if isinstance(value, Symbol):
            return value.name
        if isinstance(value, str):
            return value
        raise wrong(value, "a label")

    return _AnyName("label", convert, doc="the name of a block: bare, or in quotes", json={"type": "string"})


def labels() -> Kind:
    """Labels of other blocks, in brackets; one alone is a list of one."""
    one = label()

    def convert(value: object) -> object:
        return tuple(one.coerce(item) for item in (value if isinstance(value, tuple) else (value,)))

    json: dict[str, object] = {"type": "array", "items": one.json}
    return _AnyName("list<label>", convert, doc="names of blocks in brackets, `[a, b]`", json=json)


def list_of(inner: Kind) -> Kind:
    """A list; one value stands for a list of one."""

    def convert(value: object) -> object:
        items = value if isinstance(value, tuple) else (value,)
        return tuple(inner.coerce(item) for item in items)

    json = {"type": "array", "items": inner.json}
    doc = "values in brackets, `[a, b]`; one value alone is a list of one"
    return Kind(f"list<{inner.name}>", convert, inner.symbols, inner.words, doc=doc, within=inner.within, json=json)


def either(first: Kind, second: Kind) -> Kind:
    """The first kind that fits; the message is the second's."""

    def convert(value: object) -> object:
        try:
            return first.coerce(value)
        except Mismatch:
            return second.coerce(value)

    json = {"anyOf": [first.json, second.json]}
    words = first.words + second.words
    return Kind(f"{first.name} or {second.name}", convert, first.symbols + second.symbols, words, json=json)


def _or_null(json: dict[str, object], none: bool) -> dict[str, object]:
    return {"anyOf": [json, {"type": "null"}]} if none else json


def _within(low: Fraction | int | None, high: Fraction | int | None, above: bool) -> str:
    bounds = [f"{'above' if above else 'at least'} {low}"] if low is not None else []
    return " and ".join([*bounds, *([f"at most {high}"] if high is not None else [])])


def _whole(value: Fraction, what: str, low: int) -> int:
    if value.denominator != 1:
        near = f"write `{round(value)} {what}`" if what != "bytes" else "write it in a smaller unit"
        raise Mismatch("E024", f"expected a whole number of {what}, found {show_fraction(value)}", near)
    _bounds(value, low, None, False)
    return int(value)


def _bounds(value: Fraction, low: Fraction | int | None, high: Fraction | int | None, above: bool) -> None:
    if low is not None and (value < low or (above and value == low)):
        raise Mismatch(
            "E038", f"{show_fraction(value)} is too small", f"it must be {'above' if above else 'at least'} {low}"
        )
    if high is not None and value > high:
        raise Mismatch("E038", f"{show_fraction(value)} is too large", f"it must be at most {high}")


def show_fraction(value: Fraction) -> str:
    """An exact decimal where there is one, else `p/q`.

    >>> show_fraction(Fraction(9, 10)), show_fraction(Fraction(8, 100000)), show_fraction(Fraction(1, 3))
    ('0.9', '8e-5', '1/3')
    """
    numerator, denominator = value.numerator, value.denominator
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    if denominator != 1:
        return f"{numerator}/{value.denominator}"
    places = max(twos, fives)
    if places == 0:
        return str(numerator)
    digits = str(abs(numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if numerator < 0 else ""
    whole, fraction = digits[:-places], digits[-places:]
    if whole == "0" and len(fraction) - len(fraction.lstrip("0")) >= 3:
        significant = fraction.lstrip("0")
        mantissa = significant[0] + ("." + significant[1:] if len(significant) > 1 else "")
        return f"{sign}{mantissa}e-{len(fraction) - len(significant) + 1}"
    return f"{sign}{whole}.{fraction}"
