"""Where a value came from: each place that wrote it, and the names it is made of."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from recipelang.kinds.text import show
from recipelang.source import Source, Span
from recipelang.source.frozen import frozen
from recipelang.spec.compose import paths
from recipelang.spec.effective import shown
from recipelang.spec.params import Given
from recipelang.spec.recipe import Checked
from recipelang.syntax import tree as t
from recipelang.values.composite import Poison


@frozen
class Link:
    """One place that gave a value. `replaced`: a later one took it away."""

    place: str
    text: str
    replaced: bool = False


@frozen
class Trace:
    """`value` is `None` when it is not known: a parameter has no value, or something is wrong."""

    path: str
    value: str | None
    links: tuple[Link, ...]
    uses: tuple[Trace, ...] = ()


def trace(checked: Checked, given: Mapping[str, Given], path: str) -> Trace | None:
    """One path, or parameter, or `let`; `None` when there is none of that name."""
    return _Tracer(checked, given).trace(path)


def known_paths(checked: Checked) -> list[str]:
    """All that can be traced, in the order of the recipe."""
    return _Tracer(checked, {}).known()


class _Tracer:
    def __init__(self, checked: Checked, given: Mapping[str, Given]) -> None:
        assert checked.composed is not None and checked.evaluator is not None
        self.given = given
        self.evaluator = checked.evaluator
        self.source: Source = checked.composed.source
        self.replaced = checked.composed.replaced
        self.statements = checked.composed.tree.statements
        self.written = dict(paths(self.statements, ""))
        self.definitions = {s.name: s for s in self.statements if isinstance(s, t.Param | t.Let)}
        self.specs = {"": checked.recipe.top, **dict(checked.recipe.blocks())} if checked.recipe is not None else {}

    def known(self) -> list[str]:
        bound = [f"{path}.{name}".lstrip(".") for path, spec in self.specs.items() for name in spec.attributes()]
        attributes = [path for path, s in self.written.items() if isinstance(s, t.Attribute)]
        return list(dict.fromkeys([*self.definitions, *attributes, *bound]))

    def trace(self, path: str) -> Trace | None:
        if path in self.definitions:
            return self._definition(self.definitions[path], frozenset())
        statement = self.written.get(path)
        if isinstance(statement, t.Attribute):
            uses = self._uses(statement.value, frozenset())
            return Trace(path, self._bound(path), (*self._earlier(path, statement), self._link(statement.span)), uses)
        value = self._bound(path)
        if value is None:
            return None
        return Trace(path, value, (*self._earlier(path, None), Link("", "the language's default")))

    def _definition(self, node: t.Param | t.Let, above: frozenset[str]) -> Trace:
        value = self.evaluator.definition_value(node.name)
        text = None if isinstance(value, Poison) else show(value)
        links = [*self._earlier(node.name, node), self._link(node.span)]
        expr = node.value if isinstance(node, t.Let) else node.default
        if isinstance(node, t.Param):
            if node.fixed is not None:
                links = [*self._earlier(node.name, node), self._link(node.fixed, line=True)]
            if (given := self.given.get(node.name)) is not None:
                links = [*(Link(k.place, k.text, replaced=True) for k in links), self._outside(given)]
                expr = None
        return Trace(node.name, text, tuple(links), self._uses(expr, above | {node.name}) if expr else ())

    def _uses(self, expr: t.Expr, above: frozenset[str]) -> tuple[Trace, ...]:
        """The parameters and lets of an expression. `above`: those that led here; a circle ends."""
        names = dict.fromkeys(n for n in _names(expr) if n in self.definitions and n not in above)
        return tuple(self._definition(self.definitions[n], above) for n in names)

    def _bound(self, path: str) -> str | None:
        block, _, name = path.rpartition(".")
        spec = self.specs.get(block)
        return shown(spec, name) if spec is not None and name in spec.attributes() else None

    def _earlier(self, path: str, last: t.Statement | None) -> Iterator[Link]:
        """What stood there before, replaced unless what follows builds on it: `+=`, `-=`, or a declaration that narrows it."""
        found = [*self.replaced.get(path, ()), last]
        for statement, after in itertools.pairwise(found):
            assert statement is not None
            changed = isinstance(after, t.Attribute) and isinstance(after.value, t.Edited)
            yield self._link(statement.span, replaced=not (changed or _keeps_default(statement, after)))

    def _link(self, span: Span, *, replaced: bool = False, line: bool = False) -> Link:
        """The statement at a span; `line`: the span is a part of it, shown with its line."""
        file = self.source.file(span)
        number = file.position(span.start)[0]
        text = file.line(number).partition("  #")[0] if line else file.slice(span)
        return Link(f"{file.name}:{number}", " ".join(text.split()), replaced)

    def _outside(self, given: Given) -> Link:
        if given.expr is None:
            return Link("command line", f"{given.origin}={given.text}")
        return Link(given.origin, f"set {given.text}")


def _keeps_default(statement: t.Statement, after: t.Statement | None) -> bool:
    """A narrower declaration without a default of its own: the base's value stays."""
    if not isinstance(statement, t.Param) or not isinstance(after, t.Param):
        return False
    return after.narrows is statement and after.fixed is None and after.default is statement.default


def _names(expr: t.Expr) -> Iterator[str]:
    """The names an expression may use, in reading order."""
    parts: Sequence[t.Expr | str | t.Path] = ()
    match expr:
        case t.Path(library=""):
            yield expr.text
            yield expr.names[0]
        case t.Text():
            parts = expr.parts
        case t.Call():
            parts = [a.value for a in expr.arguments]
        case t.ListOf():
            parts = expr.items
        case t.Unary():
            parts = (expr.operand,)
        case t.Binary():
            parts = (expr.left, expr.right)
        case t.If():
            parts = (expr.condition, expr.then, expr.other)
        case t.Edited():
            parts = (expr.inherited, expr.change)
        case t.Picked():
            parts = (expr.values,)
    for part in parts:
        if not isinstance(part, str):
            yield from _names(part)
