"""Plain values: texts, numbers, names, references, and lists of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Literal

from recipelang.kinds import from_form
from recipelang.kinds.base import Kind, Mismatch, bounds, check_whole, describe, quoted, wrong
from recipelang.kinds.text import fraction, percent, show, string
from recipelang.source.suggest import closest
from recipelang.values.composite import StageRef, Symbol
from recipelang.values.quantities import Quantity, show_fraction


class Text(Kind):
    name = "string"
    doc = "text in quotes; `${NAME}` inserts a parameter or let"
    json: Mapping[str, object] = {"type": "string"}
    raw = True

    def check(self, value: object) -> None:
        if not isinstance(value, str):
            raise wrong(value, "a string", 'strings are written `"..."`')

    def written(self, form: object) -> str:
        return string(from_form.string(form))

    def hint(self, name: str) -> str:
        return f'a string is written in quotes: `"{name}"`'


class Boolean(Kind):
    name = "bool"
    words = ("true", "false")
    doc = "`true` or `false`"
    json: Mapping[str, object] = {"type": "boolean"}

    def check(self, value: object) -> None:
        if not isinstance(value, bool):
            raise wrong(value, "`true` or `false`")

    def written(self, form: object) -> str:
        return from_form.boolean(form)

    def hint(self, name: str) -> str:
        return "write `true` or `false`"


class Number(Kind):
    """An exact number; `above` leaves out the lower bound itself, `whole` makes it an `int`."""

    def __init__(
        self,
        low: Fraction | int | None = None,
        high: Fraction | int | None = None,
        *,
        whole: bool = False,
        above: bool = False,
    ) -> None:
        self.low, self.high, self.whole, self.above = low, high, whole, above
        self.name = "int" if whole else "number"
        self.doc = "a whole number: `42`, `1_000`" if whole else "an exact number: `0.5`, `8e-5`, `1_000`"
        least = [f"{'above' if above else 'at least'} {low}"] if low is not None else []
        self.within = " and ".join([*least, *([f"at most {high}"] if high is not None else [])])
        self.json = {"$ref": f"#/$defs/{self.name}"}

    def _read(self, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, Quantity) or value.unit is not None:
            mismatch = wrong(value, "a whole number" if self.whole else "a plain number")
            if isinstance(value, str) and value.isdecimal():
                mismatch.help, mismatch.replacement = f"write `{value}`, without quotes", value
            raise mismatch
        if self.whole and value.value.denominator != 1:
            raise Mismatch("E024", f"expected a whole number, found {show_fraction(value.value)}")
        bounds(value.value, self.low, self.high, self.above)
        return int(value.value) if self.whole else value.value

    def check(self, value: object) -> None:
        if self.whole:
            check_whole(value, "a whole number", None)
        elif not isinstance(value, Fraction):
            raise wrong(value, "an exact fraction")
        bounds(value, self.low, self.high, self.above)  # type: ignore[arg-type]

    def text(self, value: object) -> str:
        return str(value) if self.whole else fraction(value)  # type: ignore[arg-type]

    def written(self, form: object) -> str:
        return from_form.number(form)


class Ratio(Kind):
    name = "ratio"
    doc = "a share from `0%` to `100%`; `90%` equals `0.9`"
    within = "0%..100%"
    json: Mapping[str, object] = {"$ref": "#/$defs/ratio"}

    def _read(self, value: object) -> object:
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

    def check(self, value: object) -> None:
        if not isinstance(value, Fraction):
            raise wrong(value, "an exact fraction")
        self._read(Quantity(value))

    def text(self, value: object) -> str:
        return percent(value)  # type: ignore[arg-type]

    def written(self, form: object) -> str:
        return from_form.number(form)


class OneOf(Kind):
    """One of some names; plain data is the name."""

    doc = "one of these names, without quotes"

    def __init__(self, *names: str) -> None:
        self.symbols = names
        self.name = " | ".join(names)
        self.json = {"enum": [*names]}

    def _read(self, value: object) -> object:
        if not isinstance(value, Symbol):
            raise quoted(value, self._wanted(), self.symbols)
        return value.name

    def check(self, value: object) -> None:
        if not isinstance(value, str) or value not in self.symbols:
            found = f"`{value}`" if isinstance(value, str) else describe(value)
            raise Mismatch("E024", f"expected {self._wanted()}, found {found}")

    def _wanted(self) -> str:
        return "one of " + ", ".join(f"`{n}`" for n in self.symbols)

    def text(self, value: object) -> str:
        return str(value)

    def written(self, form: object) -> str:
        return from_form.word(form)


class Reference(Kind):
    """A `model` or a `dataset`: a string with a scheme or a path; `stage.NAME` where stages count."""

    raw = True

    def __init__(self, what: Literal["model", "dataset"], *, stages: bool = False) -> None:
        self.what, self.name, self.stages = what, what, stages
        self.doc = {
            "model": '`"hf://OWNER/NAME"`, `"package://DISTRIBUTION/PATH"`, or the path of a folder, in quotes',
            "dataset": '`"hf://OWNER/NAME"`, `"lib://NAME"`, or the path of a file, in quotes',
        }[what] + ("; `stage.NAME` is the model after an earlier stage" if stages else "")
        stage = [{"$ref": "#/$defs/stage"}] if stages else []
        self.json = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/content"}, *stage]}

    def check(self, value: object) -> None:
        if not isinstance(value, str) and not (self.stages and isinstance(value, StageRef)):
            help = 'write a reference such as `"hf://owner/name"` or a path, in quotes'
            raise wrong(value, f"a {self.what}", help)
        if value == "":
            raise Mismatch("E024", f"the {self.what} is an empty string")

    def written(self, form: object) -> str:
        return from_form.reference(form)

    def hint(self, name: str) -> str:
        stage = f"an earlier stage is written `stage.{name}`; " if self.stages else ""
        return f'{stage}a {self.what} is written in quotes: `"{name}"`'


class LocalFile(Reference):
    """A file on this machine, whose contents take part in digests."""

    def __init__(self, doc: str) -> None:
        super().__init__("dataset")
        self.name, self.doc = "file", doc
        self.json = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/content"}]}

    def check(self, value: object) -> None:
        if not isinstance(value, str) or not value:
            raise wrong(value, "the path of a file", 'write a path in quotes: `"latencies.json"`')
        if "://" in value and not value.startswith("file://"):
            raise Mismatch("E024", "expected the path of a file on this machine, found a reference", "write its path")

    def hint(self, name: str) -> str:
        return f'a path is written in quotes: `"{name}"`'


class BlockLabel(Kind):
    """The label of another block: a bare name or a string."""

    name = "label"
    doc = "the name of a block, plain or in quotes"
    json: Mapping[str, object] = {"type": "string"}
    bare = True

    def _read(self, value: object) -> object:
        if isinstance(value, Symbol):
            return value.name
        self.check(value)
        return value

    def check(self, value: object) -> None:
        if not isinstance(value, str):
            raise wrong(value, "a label")

    def written(self, form: object) -> str:
        return string(from_form.string(form))


class MeasuredPath(BlockLabel):
    """What a run measures, by its path."""

    name = "path"
    doc = "what an evaluation measures, such as `dev.f1`"

    def check(self, value: object) -> None:
        if not isinstance(value, str) or not re.fullmatch(r"\w[\w-]*(\.\w[\w-]*)+", value):
            raise wrong(value, "a measured path", "write `dev.f1`: an evaluation and its metric")

    def _read(self, value: object) -> object:
        name = value.name if isinstance(value, Symbol) else value
        self.check(name)
        return name

    def text(self, value: object) -> str:
        return self.written(value)

    def written(self, form: object) -> str:
        """Plain where a path of the language can be."""
        path = from_form.string(form)
        plain = re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", path, re.ASCII)
        return path if plain else string(path)


class Listing(Kind):
    """A kind whose values are lists, which `+=` and `-=` edit."""

    def edit(self, value: object, operator: str, change: object) -> object:
        """Items added to an inherited list, or taken from it."""
        items = value if isinstance(value, tuple) else (value,)
        changes = change if isinstance(change, tuple) else (change,)
        if operator == "+=":
            return (*items, *changes)
        for item in changes:
            if item not in items:
                names = [i.name for i in items if isinstance(i, Symbol)]
                near = closest(item.name, names) if isinstance(item, Symbol) else None
                help = f"did you mean `{near}`?" if near else "the list has nothing to remove"
                raise Mismatch("E031", f"{describe(item)} is not in the inherited list", help)
        return tuple(item for item in items if item not in changes)


class ListOf(Listing):
    """A list; one value stands for a list of one."""

    doc = "values in brackets, `[a, b]`; a single value is a list of one"

    def __init__(self, inner: Kind, doc: str = "") -> None:
        self.inner = inner
        self.name, self.within = f"list<{inner.name}>", inner.within
        self.symbols, self.words = inner.symbols, inner.words
        self.json = {"type": "array", "items": inner.json}
        self.doc = doc or self.doc
        self.bare = inner.bare

    def _read(self, value: object) -> object:
        return tuple(self.inner.read(item) for item in (value if isinstance(value, tuple) else (value,)))

    def check(self, value: object) -> None:
        if not isinstance(value, tuple):
            raise wrong(value, "a list")
        for item in value:
            self.inner.check(item)

    def text(self, value: object) -> str:
        return "[" + ", ".join(map(self.inner.text, value)) + "]"  # type: ignore[call-overload]

    def form(self, value: object) -> object:
        return [self.inner.form(item) for item in value]  # type: ignore[attr-defined]

    def written(self, form: object) -> str:
        return from_form.listed(form, self.inner.written)


class OrNone(Kind):
    """`none` is a value too, whatever the default is."""

    def __init__(self, inner: Kind) -> None:
        self.inner = inner
        self.name, self.doc, self.within = f"{inner.name} or none", inner.doc, inner.within
        self.symbols, self.words = inner.symbols, (*inner.words, "none")
        self.json = {"anyOf": [inner.json, {"type": "null"}]}
        self.sign = inner.sign

    def _read(self, value: object) -> object:
        return None if value is None else self.inner._read(value)

    def check(self, value: object) -> None:
        if value is not None:
            self.inner.check(value)

    def text(self, value: object) -> str:
        return show(None) if value is None else self.inner.text(value)

    def form(self, value: object) -> object:
        return None if value is None else self.inner.form(value)

    def written(self, form: object) -> str:
        return "none" if form is None else self.inner.written(form)

    def hint(self, name: str) -> str | None:
        return self.inner.hint(name)

    def edit(self, value: object, operator: str, change: object) -> object:
        return self.inner.edit(value, operator, change)


class AsWritten(Kind):
    """Checked by a kind, but kept as the value itself, with its unit and its way of writing."""

    def __init__(self, inner: Kind) -> None:
        self.inner, self.name, self.symbols, self.words = inner, inner.name, inner.symbols, inner.words
        self.doc, self.within, self.json = inner.doc, inner.within, inner.json

    def check(self, value: object) -> None:
        self.inner._read(value)

    def written(self, form: object) -> str:
        return self.inner.written(form)


class Listed(Kind):
    """One of the values that a `one_of(...)` of a recipe lists."""

    name = "one_of"

    def __init__(self, values: tuple[object, ...], symbols: tuple[str, ...]) -> None:
        self.values, self.symbols, self.known = values, symbols, frozenset(values)

    def check(self, value: object) -> None:
        if value not in self.known:
            mismatch = wrong(value, f"one of {', '.join(f'`{show(v)}`' for v in self.values[:12])}")
            mismatch.known = self.symbols
            raise mismatch

    def written(self, form: object) -> str:
        return from_form.expression(form)


class Seeds(Kind):
    """A number of seeds, counted from 1, or a list of seeds."""

    name = "int or list<int>"
    doc = "a number of seeds, counted from 1, or a list of seeds in brackets"
    most = 1_000
    seeds = ListOf(Number(0, whole=True))

    def _read(self, value: object) -> object:
        if isinstance(value, Quantity):
            return tuple(range(1, Number(1, self.most, whole=True).read(value) + 1))
        return self.seeds.read(value)

    def check(self, value: object) -> None:
        self.seeds.check(value)

    def written(self, form: object) -> str:
        return self.seeds.written(form)
