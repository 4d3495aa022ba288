"""YAML as nodes with their places, from PyYAML's events. No tag makes an object, and every size has a cap.

The two things that YAML leaves silent are findings here: a key that stands twice (the last counts, as it did for
every loader), and an anchor that is defined twice (the later counts from there on).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from recipelang.source import Diagnostic, Diagnostics, Label, RecipeError, Source, Span
from recipelang.source.words import limit_text

MAX_BYTES = 128 * 1024
MAX_DEPTH = 32
#: as written out: an alias counts as all that it stands for
MAX_NODES = 50_000


@dataclass(frozen=True, eq=False)
class Scalar:
    """`quoted`: then it is text, whatever it looks like."""

    span: Span
    text: str
    quoted: bool = False
    tag: str = ""


@dataclass(frozen=True, eq=False)
class List:
    span: Span
    items: tuple[Node, ...]
    tag: str = ""


@dataclass(frozen=True)
class Entry:
    key: str
    at: Span
    value: Node


@dataclass(frozen=True, eq=False)
class Map:
    span: Span
    entries: tuple[Entry, ...]
    tag: str = ""

    def get(self, key: str) -> Node | None:
        return next((e.value for e in self.entries if e.key == key), None)


@dataclass(frozen=True, eq=False)
class Alias:
    """`*name`: what it stands for, and where it was written."""

    span: Span
    name: str
    node: Scalar | List | Map


Node = Scalar | List | Map | Alias


def plain(node: Node) -> Scalar | List | Map:
    """What an alias stands for; any other node itself."""
    return node.node if isinstance(node, Alias) else node


#: tags of YAML itself, and the types by them that the loaders made
_OF_YAML = "tag:yaml.org,2002:"
_TYPES = frozenset({
    "binary", "bool", "float", "int", "map", "null", "omap", "pairs", "seq", "set", "str", "timestamp",
})  # fmt: skip


@dataclass
class _Open:
    """A collection that is being read."""

    event: Any
    anchor: str | None
    parts: list[Node] = field(default_factory=list)


@dataclass
class Anchors:
    """Names of nodes. `twice`: the first that is defined twice, which the tools refused."""

    known: dict[str, tuple[Node, Span]] = field(default_factory=dict)
    twice: str | None = None


def compose(
    source: Source, found: Diagnostics, part: Span | None = None, anchors: Anchors | None = None
) -> Node | None:
    """The first document of a text, or of a part of it; none when it is empty.

    Raises:
        RecipeError: what is not YAML (E110), and broken limits (E042, E043, E044).
    """
    if len(source.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        message = f"`{source.name}` is larger than {limit_text(MAX_BYTES)}"
        raise RecipeError(Diagnostic("E042", message, help=("migrate a shorter file",)))
    text = source.text if part is None else source.slice(part)
    base = part.start if part else source.base
    return _Composer(source, found, base, anchors or Anchors()).run(text)


class _Composer:
    def __init__(self, source: Source, found: Diagnostics, base: int, anchors: Anchors) -> None:
        self.source, self.found, self.base, self.anchors = source, found, base, anchors
        self.open: list[_Open] = []
        self.sizes: dict[int, int] = {}
        self.root: Node | None = None
        self.said: dict[tuple[str, str, tuple[str, ...]], list[tuple[Span, Span]]] = {}  # what, why -> its places

    def run(self, text: str) -> Node | None:
        try:
            ended = False
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                if ended and isinstance(event, yaml.NodeEvent) and getattr(event, "value", None) != "":
                    why = ("the loaders read only one document per file",)
                    raise self._error("E110", "a second document begins here", self._span(event), why)
                ended = ended or isinstance(event, yaml.DocumentEndEvent)
                if not ended:
                    self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            at = self.base + min(mark.index if mark else 0, max(len(text) - 1, 0))
            raise self._error("E110", f"this is not YAML: {error.problem or error.context}", Span(at, at + 1)) from None
        except yaml.reader.ReaderError as error:
            at = self.base + error.position
            raise self._error("E110", "this character is not allowed in YAML", Span(at, at + 1)) from None
        finally:
            self._tell()
        return self.root

    def _take(self, event: Any) -> None:
        if (tag := getattr(event, "tag", None) or "").startswith(_OF_YAML) and tag.removeprefix(_OF_YAML) not in _TYPES:
            why = ("the loaders create no objects named by a file",)
            raise self._error(
                "E110", f"the tag `!!{tag.removeprefix(_OF_YAML)[:60]}` is not supported", self._span(event), why
            )
        match event:
            case yaml.ScalarEvent():
                quoted = event.style is not None
                self._put(Scalar(self._span(event), event.value, quoted, _tag(event)), event.anchor)
            case yaml.AliasEvent():
                self._put(self._alias(event), None)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                if len(self.open) >= MAX_DEPTH:
                    raise self._error("E044", f"this is nested more than {MAX_DEPTH} deep", self._span(event))
                self.open.append(_Open(event, event.anchor))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._close(event)

    def _close(self, end: Any) -> None:
        done = self.open.pop()
        span = Span(self._span(done.event).start, self._span(end).end)
        if isinstance(end, yaml.SequenceEndEvent):
            self._put(List(span, tuple(done.parts), _tag(done.event)), done.anchor)
        else:
            self._put(Map(span, self._entries(done.parts), _tag(done.event)), done.anchor)

    def _entries(self, parts: list[Node]) -> tuple[Entry, ...]:
        """Pairs of key and value. Of a key that stands twice the last counts, at the place of the first."""
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in zip(parts[::2], parts[1::2], strict=True):
            name = plain(key)
            if not isinstance(name, Scalar):
                raise self._error("E110", "a key must be a single word here", key.span)
            if name.text == "<<" and not name.quoted:
                merged = {**self._merged(key, value), **merged}
                continue
            if before := entries.get(name.text):
                self._twice(name.text, before, key.span, value)
            entries[name.text] = Entry(name.text, key.span, value)
        return tuple({**merged, **entries}.values())

    def _merged(self, key: Node, value: Node) -> dict[str, Entry]:
        """What `<<` takes over from one mapping or several, of which the first counts; what is written counts more."""
        value = plain(value)
        maps = [plain(item) for item in value.items] if isinstance(value, List) else [value]
        found: dict[str, Entry] = {}
        for one in maps:
            if not isinstance(one, Map):
                raise self._error("E110", "`<<` accepts only mappings", key.span)
            found = {**{entry.key: entry for entry in one.entries}, **found}
        return found

    def _twice(self, name: str, before: Entry, at: Span, value: Node) -> None:
        if _same(before.value, value):
            return self._say("W130", f"`{name}` is given twice, with the same value", at, before.at, ())
        why = ("YAML loaders silently use the last value, and so does this command",)
        return self._say("W130", f"`{name}` is given twice: this value counts", at, before.at, why)

    def _alias(self, event: Any) -> Alias:
        name, span = event.anchor, self._span(event)
        if name not in self.anchors.known:
            if any(o.anchor == name for o in self.open):
                raise self._error("E110", f"`*{name}` is inside its own anchor", span)
            raise self._error("E110", f"there is no anchor `&{name}` before this", span)
        return Alias(span, name, plain(self.anchors.known[name][0]))

    def _put(self, node: Node, anchor: str | None) -> None:
        self._weigh(node)
        if anchor:
            if anchor in self.anchors.known:
                self.anchors.twice = self.anchors.twice or anchor
                why = ("the newest YAML loaders refuse this; from here on the later definition counts",)
                self._say(
                    "W130", f"the anchor `&{anchor}` is defined twice", node.span, self.anchors.known[anchor][1], why
                )
            self.anchors.known[anchor] = (node, node.span)
        if self.open:
            self.open[-1].parts.append(node)
        elif self.root is None:
            self.root = node

    def _weigh(self, node: Node) -> None:
        """How many nodes this is, written out: aliases of aliases double at every line."""
        match node:
            case Scalar():
                size = 1
            case Alias():
                size = self.sizes[id(node.node)]
            case List():
                size = 1 + sum(self.sizes[id(plain(i))] for i in node.items)
            case Map():
                size = 1 + sum(1 + self.sizes[id(plain(e.value))] for e in node.entries)
        if size > MAX_NODES:
            raise self._error("E043", f"this expands to more than {MAX_NODES:,} values", node.span)
        if not isinstance(node, Alias):
            self.sizes[id(node)] = size

    def _span(self, event: Any) -> Span:
        return Span(self.base + event.start_mark.index, self.base + event.end_mark.index)

    def _say(self, code: str, message: str, at: Span, first: Span, notes: tuple[str, ...]) -> None:
        self.said.setdefault((code, message, notes), []).append((at, first))

    def _tell(self) -> None:
        """Once for a file, however often a slip was copied in it."""
        for (code, message, notes), places in self.said.items():
            (at, first), *more = places
            before = (
                Label(self.source, first, "first here"),
                *(Label(self.source, a, "and here") for a, _ in more[:1]),
            )
            times = f" ({len(places)} times)" if more else ""
            self.found.say(code, message + times, Label(self.source, at), before, notes=notes)

    def _error(self, code: str, message: str, span: Span, notes: tuple[str, ...] = ()) -> RecipeError:
        return RecipeError(Diagnostic(code, message, Label(self.source, span), notes=notes))


def _tag(event: Any) -> str:
    """`GMPruningModifier` of `!GMPruningModifier`; tags of YAML itself say nothing here."""
    tag = event.tag or ""
    return tag[1:] if tag.startswith("!") and len(tag) > 1 else ""


def _same(a: Node, b: Node) -> bool:
    a, b = plain(a), plain(b)
    return isinstance(a, Scalar) and isinstance(b, Scalar) and (a.text, a.quoted) == (b.text, b.quoted)


def tagged(node: Node) -> Iterator[Map | List | Scalar]:
    """Every node below that carries a tag, outside in."""
    todo = [node]
    while todo:
        here = plain(todo.pop(0))
        if here.tag:
            yield here
        elif isinstance(here, List):
            todo += here.items
        elif isinstance(here, Map):
            todo += [e.value for e in here.entries]


_FENCE = re.compile(r"^(?:---|\+\+\+)[ \t]*$", re.MULTILINE)


def front_matter(source: Source) -> Span | None:
    """Where the YAML is; none when the text has no two such lines."""
    first = _FENCE.search(source.text)
    second = _FENCE.search(source.text, first.end()) if first else None
    if first is None or second is None:
        return None
    return Span(source.base + first.end(), source.base + second.start())
