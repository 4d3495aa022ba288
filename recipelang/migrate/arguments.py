"""The arguments of one modifier, read by kind. What nobody asked for is told at the end."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from recipelang.migrate import expressions as x
from recipelang.migrate.document import Document, Modifier, variable_of
from recipelang.migrate.nodes import List, Map, Node, Scalar, plain
from recipelang.migrate.scalars import is_none
from recipelang.source import Diagnostics, Span

Unit = Literal["epochs", "ratio", "number"]


@dataclass(frozen=True)
class Amount:
    """A number. `formula` when it was written with variables; `value` none when one of them has no value."""

    value: Fraction | None
    unit: Unit
    span: Span
    formula: x.Expression | None = None

    def is_(self, number: Fraction | int) -> bool:
        return self.value == number

    def minus(self, other: Amount) -> Amount:
        """The difference, as a formula where this is one; of equal amounts plain 0."""
        if self.value is not None and other.value is not None:
            left: Fraction | None = self.value - other.value
            rest = self.formula and x.less(self.formula, x.Number(other.value))
        else:
            mine, theirs = (a.formula or x.Number(a.value or Fraction(0)) for a in (self, other))
            rest = x.less(mine, theirs)
            left = rest.value if isinstance(rest, x.Number) else None
        return replace(self, value=left, formula=None if left == 0 or isinstance(rest, x.Number) else rest)


class Arguments:
    """`since`: the epoch that the modifier's stage begins with, of a file whose epochs count through all stages."""

    def __init__(self, modifier: Modifier, document: Document, found: Diagnostics, since: Amount | None = None) -> None:
        self.modifier, self.document, self.found, self.since = modifier, document, found, since
        self.read: set[str] = set()
        self.failed = False  # something was refused: what follows from it is not told as well

    def has(self, key: str) -> bool:
        node = self._node(key)
        return node is not None and not (isinstance(node, Scalar) and is_none(node))

    def span(self, key: str) -> Span:
        entry = self.modifier.arguments.get(key)
        return entry.value.span if entry else self.modifier.span

    def amount(self, key: str, unit: Unit, default: Fraction | int | None = None) -> Amount | None:
        entry = self.modifier.arguments.get(key)
        self.read.add(key)
        if entry is None or not self.has(key):
            return None if default is None else Amount(Fraction(default), unit, self.modifier.span)
        return self.number(entry.value, unit, key)

    def epoch(self, key: str, default: int | None = None) -> Amount | None:
        """An epoch of the modifier's stage. What lies before 0 has a meaning of its own, and stays."""
        at = self.amount(key, "epochs", default)
        if at is None or self.since is None or (at.value is not None and at.value < 0):
            return at
        return at.minus(self.since)

    def number(self, written: Node, unit: Unit, key: str) -> Amount | None:
        node = plain(written)
        if (name := variable_of(self.document, written)) is not None:
            return Amount(self.document.known.get(name), unit, written.span, x.Name(name))
        if not isinstance(node, Scalar):
            self.refuse(key, f"`{key}` must be a number")
            return None
        if (inner := x.inside_eval(node.text)) is not None:
            return self._formula(inner, unit, written.span)
        value = self.document.traps.number(node)
        if value is None:
            self.refuse(key, f"`{key} = {node.text[:40]}` is not a number")
            return None
        return Amount(value, unit, written.span)

    def _formula(self, text: str, unit: Unit, span: Span) -> Amount | None:
        try:
            formula = self.document.scoped(x.read(text), self.modifier.stage)
            try:
                value: Fraction | None = x.value(formula, self.document.known)
            except KeyError:
                value = None
        except x.NotRead as why:
            message = f"`{text.strip()[:60]}` cannot be read: {why}"
            help = x.READ
            self.failed = True
            self.found.say("E114", message, self.document.label(span), help=help)
            return None
        return Amount(value, unit, span, formula if x.names(formula) else None)

    def flag(self, key: str, default: bool) -> bool:
        """A truth value, also of a variable or a formula; the default is for what is not there, never a guess."""
        node = self._node(key)
        if node is None or (isinstance(node, Scalar) and is_none(node)):
            return default
        node = self._behind(node) if isinstance(node, Scalar) else node
        told = self.document.traps.flag(node) if isinstance(node, Scalar) else None
        if told is None and isinstance(node, Scalar) and (inner := x.inside_eval(node.text)) is not None:
            amount = self._formula(inner, "number", self.span(key))
            if amount is None:
                return default  # told already
            told = None if amount.value is None else amount.value != 0
        if told is None:
            self.refuse(key, f"`{key}` is neither true nor false", "write `true` or `false`")
            return default
        return told

    def text(self, key: str, default: str) -> str:
        """A word; a variable that holds one stands for it. The default is for what is not there, never a guess."""
        node = self._node(key)
        if node is None or (isinstance(node, Scalar) and is_none(node)):
            return default
        if not isinstance(node, Scalar):
            self.refuse(key, f"`{key}` must be one word", "write the word itself, without brackets")
            return default
        node = self._behind(node)
        if x.inside_eval(node.text) is not None:
            self.refuse(key, f"`{key} = {node.text[:40]}` is not a word that the file defines", "write the word itself")
            return default
        return self.document.traps.text(node)

    def says(self, key: str, word: str) -> bool:
        """Whether it is this word, in capitals or not; a number or a formula is another thing."""
        node = self._node(key)
        return isinstance(node, Scalar) and self._behind(node).text.strip().upper() == word

    def _behind(self, node: Scalar) -> Scalar:
        """What `eval(name)` stands for where the variable holds a word; variables of variables are followed."""
        for _ in self.document.variables:
            inner = x.inside_eval(node.text)
            variable = None if inner is None else self.document.variable(inner.strip(), self.modifier.stage)
            if variable is None:
                break
            node = variable.node
        return node

    def words(self, key: str) -> list[tuple[str, Span]]:
        """One word or a list of them, each with its place; a variable stands for what it holds."""
        entry = self.modifier.arguments.get(key)
        self.read.add(key)
        if entry is None or not self.has(key):
            return []
        words: list[tuple[str, Span]] = []
        for item in self._items(plain(entry.value)):
            if not isinstance(item, Scalar):
                self.refuse(key, f"`{key}` must hold only names")
                break
            if x.inside_eval(item.text) is not None:
                self.refuse(key, f"`{item.text.strip()[:40]}` is not a name that the file defines")
                break
            if not is_none(item):
                words.append((item.text.strip(), item.span))
        return words

    def named(self, key: str, *, few: int = 1) -> tuple[str, ...] | None:
        """The words of an argument that is there; none, and told, where it names nothing that can be read.

        `few`: 0 where an empty list is what it says.
        """
        errors = len(self.found.errors)
        words = self.words(key)
        if len(self.found.errors) > errors:
            return None
        if len(words) < few and key in self.modifier.arguments:
            self.refuse(key, f"`{key}` names nothing")
            return None
        return tuple(word for word, _ in words)

    def _items(self, node: Scalar | List | Map) -> Iterator[Scalar | List | Map]:
        """Items of a list, or the one that stands alone; of a variable what it holds."""
        for item in map(plain, node.items) if isinstance(node, List) else (node,):
            inner = x.inside_eval(item.text) if isinstance(item, Scalar) else None
            listed = None if inner is None else self.document.listed(inner.strip(), self.modifier.stage)
            if listed is not None:
                yield from map(plain, listed.items)
            else:
                yield self._behind(item) if isinstance(item, Scalar) else item

    def pair(self, key: str) -> tuple[int, int] | None:
        """`[1, 4]`."""
        node = self._node(key)
        if not isinstance(node, List) or len(node.items) != 2:
            return None
        numbers = [self.document.traps.number(i) if isinstance(i, Scalar) else None for i in map(plain, node.items)]
        first, second = numbers
        if first is None or second is None or first.denominator != 1 or second.denominator != 1:
            return None
        return int(first), int(second)

    def several(self, key: str) -> bool:
        """Whether an argument is a list."""
        return isinstance(self._node(key), List)

    def inside(self, key: str) -> Map | None:
        node = self._node(key)
        return node if isinstance(node, Map) else None

    def table(self, key: str) -> Map | None:
        """Names with values; anything else that is there is refused."""
        if self.has(key) and self.inside(key) is None:
            self.refuse(key, f"`{key}` holds names with values", "write `name: value` below it")
        return self.inside(key)

    def _node(self, key: str) -> Scalar | List | Map | None:
        entry = self.modifier.arguments.get(key)
        self.read.add(key)
        return plain(entry.value) if entry else None

    def refuse(self, key: str, message: str, help: str | None = None) -> None:
        """Something that changes the result and has no place in the recipe (E113)."""
        self.failed = True
        label = self.document.label(self.span(key))
        self.found.say("E113", message, label, help=help)

    def note(self, key: str, message: str, why: str) -> None:
        """Something that means a little else here, or was meant otherwise than it was read (W132)."""
        self.found.say("W132", message, self.document.label(self.span(key)), notes=(why,))

    def changes_nothing(self, key: str, message: str, why: str) -> None:
        self.document.without_effect(message, why, self.span(key))

    def idle(self, keys: Collection[str], why: str) -> None:
        """Arguments that change nothing of the result."""
        for key in keys:
            if key in self.modifier.arguments and key not in self.read:
                self.read.add(key)
                if not self._open(key):
                    self.document.without_effect(f"`{key}` is not allowed here", why, self.modifier.arguments[key].at)

    def _open(self, key: str) -> bool:
        """Whether an argument says nothing: `null`, or -1, as the loaders wrote what was not given."""
        node = self._node(key)
        if not isinstance(node, Scalar):
            return False
        number = self.document.traps.number(node)
        return is_none(node) or (number is not None and number < 0)

    def only(self, key: str, value: bool | None, why: str) -> None:
        """An argument that is carried over with its default alone; none is `null`."""
        held = self.flag(key, value) if value is not None else (None if not self.has(key) else "")
        if held != value and not self.failed:
            self.refuse(key, why)

    def finish(self) -> None:
        """An argument that was not asked for may have changed the result: it is lost, and named."""
        if self.failed:
            return
        for key, entry in self.modifier.arguments.items():
            if key not in self.read:
                label = self.document.label(entry.at)
                self.document.refused.append(f"`{self.modifier.name}` has no `{key}`")
                self.found.say("E113", f"`{key}` of `{self.modifier.name}` is unknown", label)
