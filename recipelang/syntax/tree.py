"""The tree of a recipe: frozen nodes. `span` and `doc` take no part in equality.

Expressions hold exact numbers; nothing is evaluated or looked up here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, fields, replace
from fractions import Fraction
from typing import TypeVar

from recipelang.source import Span
from recipelang.source.frozen import frozen


@frozen
class Node:
    """What every part of a tree has: its place in the text."""

    span: Span = field(compare=False, kw_only=True)


N = TypeVar("N", bound=Node)


# ---------------------------------------------------------------- expressions
@frozen
class Number(Node):
    """`0.5`, `8e-5`, `90%` (`percent`), `30 epochs` (`unit`)."""

    value: Fraction
    unit: str | None = None
    percent: bool = False
    unit_span: Span | None = field(default=None, compare=False)


@frozen
class NM(Node):
    """`2:4`."""

    n: int
    m: int


@frozen
class Text(Node):
    """A string: literal pieces and interpolated paths, in order."""

    parts: tuple[str | Path, ...]

    @property
    def plain(self) -> str:
        """Its literal pieces: all of it, of a string without parameters in it."""
        return "".join(part for part in self.parts if isinstance(part, str))


@frozen
class Pattern(Node):
    """`re"…"`."""

    regex: str


@frozen
class Constant(Node):
    """`true`, `false`, `none`."""

    value: bool | None


@frozen
class Role(Node):
    """`@linear`."""

    name: str


@frozen
class Path(Node):
    """A name, or names joined by dots.

    `library`: the alias of the library that it stands in and that does not define it: what the recipe
    defines is not meant.
    """

    names: tuple[str, ...]
    library: str = field(default="", kw_only=True)

    @property
    def text(self) -> str:
        return ".".join(self.names)


@frozen
class Argument(Node):
    """`scope = row`, or a value without a name."""

    name: str | None
    value: Expr
    name_span: Span | None = field(default=None, compare=False)


@frozen
class Call(Node):
    """`magnitude(scope = row)`."""

    function: Path
    arguments: tuple[Argument, ...]


@frozen
class ListOf(Node):
    """`[a, b]`."""

    items: tuple[Expr, ...]


@frozen
class Unary(Node):
    """`-`, `!` or `not`."""

    operator: str
    operand: Expr


@frozen
class Binary(Node):
    """Every two-sided form: `+ - * / & | except .. -> ± == != < <= > >= in and or per`."""

    operator: str
    left: Expr
    right: Expr
    operator_span: Span = field(compare=False, kw_only=True)


@frozen
class If(Node):
    """`if condition then a else b`."""

    condition: Expr
    then: Expr
    other: Expr


@frozen
class Edited(Node):
    """An inherited value and its change by `+=` or `-=`. Composition makes it; no text reads as one."""

    inherited: Expr
    operator: str
    change: Expr


@frozen
class Picked(Node):
    """One value of a list, by its place. A repeated stage that is written out has it; no text reads as one."""

    values: Expr
    place: int


Expr = Number | NM | Text | Pattern | Constant | Role | Path | Call | ListOf | Unary | Binary | If | Edited | Picked


def inside(expr: Expr) -> Iterator[Expr]:
    """An expression and all in it, in the order of the text; iterative, since expressions may be deep."""
    stack: list[Expr] = [expr]
    while stack:
        node = stack.pop()
        yield node
        stack += reversed(_parts(node))


def _parts(node: Expr) -> list[Expr]:
    match node:
        case Call():
            return [argument.value for argument in node.arguments]
        case ListOf():
            return list(node.items)
        case Unary():
            return [node.operand]
        case Binary():
            return [node.left, node.right]
        case If():
            return [node.condition, node.then, node.other]
        case Edited():
            return [node.inherited, node.change]
        case Picked():
            return [node.values]
        case Text():
            return [part for part in node.parts if isinstance(part, Path)]
    return []


# ----------------------------------------------------------------- statements
@frozen
class Statement(Node):
    """What may stand on a line of its own; `doc` is its `##` comment."""

    doc: str = field(default="", compare=False, kw_only=True)


@frozen
class Attribute(Statement):
    """`name = value`, or `+=` and `-=` in a patch."""

    name: str
    operator: str
    value: Expr
    name_span: Span = field(compare=False, kw_only=True)


@frozen
class Block(Statement):
    """`stage sparse { ... }`."""

    kind: str
    labels: tuple[str, ...]
    body: tuple[Statement, ...]
    kind_span: Span = field(compare=False, kw_only=True)
    label_spans: tuple[Span, ...] = field(default=(), compare=False, kw_only=True)

    @property
    def header(self) -> Span:
        return self.kind_span.to(self.label_spans[-1]) if self.label_spans else self.kind_span


@frozen
class Param(Statement):
    """`param NAME: TYPE in RANGE = VALUE`: a value that can be set from outside; in a child, it narrows the parameter of the base.

    `fixed`: where `set` gave it its value. `narrows`: the base's declaration, which holds as well.
    """

    name: str
    type: Expr
    within: Expr | None
    default: Expr | None
    name_span: Span = field(compare=False, kw_only=True)
    fixed: Span | None = field(default=None, compare=False, kw_only=True)
    narrows: Param | None = field(default=None, compare=False, kw_only=True)


@frozen
class Let(Statement):
    """`let name = value`."""

    name: str
    value: Expr
    name_span: Span = field(compare=False, kw_only=True)


@frozen
class Claim(Statement):
    """`require`, `expect` or `prefer`."""

    kind: str
    condition: Expr
    message: Text | None


@frozen
class Extends(Statement):
    """`extends "REFERENCE"`: build on another recipe and change it."""

    reference: Text


@frozen
class Use(Statement):
    """`use "REFERENCE" as NAME`: import the lets of another recipe under a name."""

    reference: Text
    alias: str
    alias_span: Span = field(compare=False, kw_only=True)


@frozen
class Patch(Statement):
    """`patch KIND NAME { … }`: change an inherited block."""

    block: Block


@frozen
class Set(Statement):
    """`set NAME = …`: fix the value of an inherited parameter."""

    path: Path
    value: Expr


@frozen
class Unset(Statement):
    """`unset PATH`: remove an inherited block or attribute."""

    path: Path


@frozen
class Broken(Statement):
    """Text that could not be read, kept whole."""

    text: str


@frozen
class Recipe(Node):
    """A whole file. `version` is text: `1.10` is later than `1.9`."""

    version: str
    name: str | None
    statements: tuple[Statement, ...]
    version_span: Span = field(compare=False, kw_only=True)
    doc: str = field(default="", compare=False, kw_only=True)


def nodes(root: object) -> Iterator[Node]:
    """A node, or a tuple of them, and every node inside, as they are written; iterative, as `inside` is."""
    stack = [root]
    while stack:
        match stack.pop():
            case tuple() as several:
                stack += reversed(several)
            case Node() as node:
                yield node
                stack += [getattr(node, f.name) for f in reversed(fields(node))]


def moved(node: N, by: int) -> N:
    """The same node with every span moved. Its depth is bounded by the limits on tokens."""
    changes: dict[str, object] = {}
    for f in fields(node):
        value = getattr(node, f.name)
        if isinstance(value, Span):
            changes[f.name] = Span(max(0, value.start + by), max(0, value.end + by))
        elif isinstance(value, Node):
            changes[f.name] = moved(value, by)
        elif isinstance(value, tuple) and value:
            changes[f.name] = tuple(_moved_item(item, by) for item in value)
    return replace(node, **changes)  # type: ignore[arg-type]


def _moved_item(item: object, by: int) -> object:
    if isinstance(item, Span):
        return Span(item.start + by, item.end + by)
    return moved(item, by) if isinstance(item, Node) else item
