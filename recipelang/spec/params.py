"""Parameters: declared types, what may be given from outside, and where a value came from."""

from __future__ import annotations

import os
from collections.abc import Mapping

from recipelang.kinds.base import Kind, Mismatch, Silent, wrong
from recipelang.kinds.measures import Count, PerEpoch, Size, Stretch
from recipelang.kinds.plain import AsWritten, Boolean, Listed, Number, Ratio, Reference, Text
from recipelang.kinds.tensors import Pattern, Selector
from recipelang.source import Diagnostics, Fix, Label, Source, Span
from recipelang.source.frozen import frozen
from recipelang.source.suggest import closest, instead, nearest
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.scope import Definition, mended
from recipelang.syntax import Parsed, parse, tree as t
from recipelang.values import aliases, quantities as q
from recipelang.values.composite import POISON, Between, Poison, Symbol, Written

#: a child may declare a parameter of the first type as one of the second
NARROWER = {("span", "epochs"), ("span", "steps"), ("number", "int"), ("number", "ratio")}

TYPES: dict[str, Kind] = {
    "bool": Boolean(),
    "int": AsWritten(Number(whole=True)),
    "number": AsWritten(Number()),
    "ratio": AsWritten(Ratio()),
    "span": Stretch(),
    "epochs": Stretch("epochs"),
    "steps": Stretch("steps"),
    "samples": AsWritten(Count("sample")),
    "tokens": AsWritten(Count("token")),
    "bytes": AsWritten(Size()),
    "rate": PerEpoch(),
    "pattern": Pattern(),
    "selector": Selector(),
    "model": Reference("model"),
    "dataset": Reference("dataset"),
    "string": Text(),
}


@frozen
class Given:
    """A value from outside: `text` as typed, `origin` as shown (`-p target`).

    From a file of parameters it comes as it was read: `expr`, with spans of `source`.
    """

    text: str
    origin: str
    expr: t.Expr | None = None
    source: Source | None = None
    name_span: Span | None = None


@frozen
class Param:
    """A declared parameter, and where its value came from."""

    name: str
    doc: str
    type: str
    origin: str
    fixed: Span | None = None


class Params:
    """Declares the parameters of a recipe as definitions of an `Evaluator`."""

    def __init__(
        self, source: Source, diagnostics: Diagnostics, evaluator: Evaluator, given: Mapping[str, Given]
    ) -> None:
        self.source = source
        self.diagnostics = diagnostics
        self.evaluator = evaluator
        self.given = dict(given)
        self.declared: list[Param] = []
        self.missing: list[str] = []
        self._bounds: dict[int, object] = {}

    def declare(self, node: t.Param) -> None:
        name = node.name
        kind = self._kind(node.type, node.default or node.within)
        given = self.given.get(name)
        type_name = kind.name if kind else "?"
        origin = given.origin if given else self._place(node.fixed or node.span)
        self.declared.append(Param(name, node.doc, type_name, origin, node.fixed))
        if node.default is None and given is None:
            self.missing.append(name)

        def compute() -> object:
            if kind is None or not self._sound_range(node, kind) or not self._narrower(node, kind):
                return POISON
            if given is not None:
                return POISON if self._is_fixed(node, given) else self._from_outside(node, kind, given)
            if node.default is None:
                return POISON
            value = self.evaluator.within({}).value(node.default)
            return self._typed(node, kind, value, self.source, node.default)

        symbols = kind.symbols if kind is not None and type_name == "one_of" else None
        self.evaluator.definitions[name] = Definition(
            name, "param", compute, node.name_span, symbols=symbols, places=_places(node.type, frozenset(symbols or ()))
        )

    def _place(self, span: Span) -> str:
        line = self.source.position(span.start)[0]
        file = self.source.file(span)
        return f"line {line}" if file.name == self.source.name else f"{file.name}:{line}"

    def _is_fixed(self, node: t.Param, given: Given) -> bool:
        if node.fixed is not None:
            at = Label(self.source, node.fixed, "fixed here")
            message = f"`{node.name}` cannot be overridden: the recipe sets it"
            help = f"remove `{given.origin}`, or change the recipe"
            self.diagnostics.say("E037", message, at, help=help)
        return node.fixed is not None

    def check_unknown(self, lets: frozenset[str]) -> None:
        names = {p.name: None for p in self.declared}
        for name, given in self.given.items():
            if name in names:
                continue
            near = nearest(name, names)
            if name in lets:
                help = f"`{name}` is a `let`: only a `param` can be set from outside"
            elif near:
                help = f"did you mean `{near[0]}`?"
            else:
                help = f"it has {', '.join(f'`{n}`' for n in names)}" if names else "it declares none"
            at = self._name_place(given)
            fixes: tuple[Fix, ...] = ()
            if at is not None and near:
                fixes = instead(name, near[0], at.span, names)
            self.diagnostics.say("E036", f"the recipe has no parameter `{name}`", at, help=help, fixes=fixes)

    def _name_place(self, given: Given) -> Label | None:
        """Where a name from a file of parameters stands; one from the command line has no place."""
        return Label(given.source, given.name_span) if given.source is not None and given.name_span else None

    def _fitting(self, default: t.Expr | None) -> list[str]:
        """The types that the default of a parameter is of."""
        quiet = Evaluator(self.source, Diagnostics())
        value = quiet.value(default) if default is not None else POISON

        def fits(kind: Kind) -> bool:
            try:
                return kind.read(value) is not POISON
            except Mismatch:
                return False

        return [name for name, kind in TYPES.items() if fits(kind)]

    def _kind(self, node: t.Expr, default: t.Expr | None) -> Kind | None:
        if isinstance(node, t.Call) and node.function.text == "one_of":
            return self._one_of(node)
        if isinstance(node, t.Path) and node.text in TYPES:
            return TYPES[node.text]
        path = node.function if isinstance(node, t.Call) else node
        name = path.text if isinstance(path, t.Path) else ""
        near = closest(name, ["one_of"] if isinstance(node, t.Call) else self._fitting(default), TYPES)
        near = near or aliases.meant(name, aliases.TYPES, (*TYPES, "one_of"))
        help = f"did you mean `{near}`?" if near else f"types are {', '.join(f'`{n}`' for n in TYPES)}, `one_of(...)`"
        fixes = instead(name, near, path.span, TYPES)
        at = Label(self.source, path.span)
        self.diagnostics.say("E022", f"unknown type `{name or '?'}`", at, help=help, fixes=fixes)
        return None

    def _one_of(self, node: t.Call) -> Kind:
        values = [self.evaluator.within({}).value(a.value) for a in node.arguments]
        values = [v for v in values if not isinstance(v, Poison)]
        symbols = tuple(v.name for v in values if isinstance(v, Symbol))
        return Listed(tuple(values), symbols)

    def _from_outside(self, node: t.Param, kind: Kind, given: Given) -> object:
        if given.expr is not None and given.source is not None:
            value = Evaluator(given.source, self.diagnostics).value(given.expr)
            if isinstance(value, str):
                value = _from(os.path.dirname(given.source.name), value, kind)
            return self._typed(node, kind, value, given.source, given.expr)
        if kind.raw:
            value = _from("", given.text, kind)  # paths typed on the command line start where it was typed
            return self._typed(node, kind, value, Source(given.origin, given.text), None)
        source = Source(given.origin, given.text)
        expr = literal(source, self.diagnostics)
        if expr is None:
            return POISON
        reader = Evaluator(source, self.diagnostics)
        return self._typed(node, kind, reader.value(expr), source, expr)

    def _typed(self, node: t.Param, kind: Kind, value: object, source: Source, expr: t.Expr | None) -> object:
        if isinstance(value, Poison):
            return POISON
        at = Label(source, expr.span if expr else Span(0, len(source.text)))
        written = self.source.slice(node.type.span)
        declared = (
            (Label(self.source, node.name_span, f"declared as `{written}`"),) if source is not self.source else ()
        )
        try:
            value = kind.read(value)
        except Silent:
            return POISON
        except Mismatch as m:
            if m.name is not None and source is self.source and expr is not None:
                return self.evaluator.misfit(m, expr, kind=kind)
            edit = mended(m, at.span)
            help = kind.help_outside(m) if source is not self.source else m.help
            self.diagnostics.say(m.code, m.message, at, declared, help=help, fixes=edit)
            return POISON
        held = node  # what an outer declaration allows holds as well
        while held.narrows is not None and not isinstance(value, Poison):
            value = self._allowed(held, value, source, at)
            held = held.narrows
        return value if isinstance(value, Poison) else self._allowed(held, value, source, at)

    def _allowed(self, node: t.Param, value: object, source: Source, at: Label) -> object:
        """The value, if it lies in the declaration's range."""
        if node.within is None:
            return value
        text = self.source.slice(node.within.span)
        shown = source.slice(at.span)
        allowed = (Label(self.source, node.within.span, "allowed here"),)
        try:
            if self._inside(node, value):
                return value
            code, message = "E038", f"{shown} is outside {text}"
        except q.UnitError:
            code, message = "E023", f"{shown} and {text} differ in unit"
        help = f"`{node.name}` must lie within {text}"
        self.diagnostics.say(code, message, at, allowed, help=help)
        return POISON

    def _sound_range(self, node: t.Param, kind: Kind) -> bool:
        """Both ends of `in a..b`, and every item of `in [...]`, must be values of the type."""
        if node.within is None:
            return True
        bounds = self.evaluator.within({}).value(node.within)
        if isinstance(bounds, Poison):
            return False
        tree = node.within
        ends: list[tuple[t.Expr, object]]
        if isinstance(bounds, Between):
            pair = (tree.left, tree.right) if isinstance(tree, t.Binary) else (tree, tree)
            ends = [(pair[0], bounds.low), (pair[1], bounds.high)]
        elif isinstance(bounds, tuple):
            items = tree.items if isinstance(tree, t.ListOf) else (tree,) * len(bounds)
            ends = list(zip(items, bounds, strict=True))
        else:
            mismatch = wrong(bounds, "a range or a list", "write `in 50%..99%`")
            self.evaluator.mismatch(mismatch, tree.span)
            return False
        sound = True
        for expr, value in ends:
            try:
                kind.read(value)
            except Mismatch as mismatch:
                self.evaluator.misfit(mismatch, expr)
                sound = False
        return sound

    def _narrower(self, node: t.Param, kind: Kind) -> bool:
        """A child's declaration allows less than the base's, never more: its type, and both ends of its range."""
        base = node.narrows
        if base is None:
            return True
        inner, outer = self._type_name(node), self._type_name(base)
        allowed = (Label(self.source, base.name_span, f"declared as `{self.source.slice(base.type.span)}`"),)
        if inner != outer and (outer, inner) not in NARROWER:
            message = f"`{node.name}` is a {outer} in the base"
            at = Label(self.source, node.type.span)
            self.diagnostics.say("E024", message, at, allowed, help=f"write `{outer}`")
            return False
        exprs: list[t.Expr] = []
        match node.within:
            case t.Binary(operator=".."):
                exprs = [node.within.left, node.within.right]
            case t.ListOf():
                exprs = list(node.within.items)
        if inner == "one_of" and isinstance(node.type, t.Call):
            exprs += [a.value for a in node.type.arguments]
        values = [self.evaluator.within({}).value(e) for e in exprs]
        allowed_kind = self._kind(base.type, base.default or base.within) or kind
        return not any(
            isinstance(self._typed(base, allowed_kind, value, self.source, expr), Poison)
            for value, expr in zip(values, exprs, strict=True)
        )

    def _type_name(self, node: t.Param) -> str:
        return "one_of" if isinstance(node.type, t.Call) else self.source.slice(node.type.span)

    def _inside(self, node: t.Param, value: object) -> bool:
        assert node.within is not None
        if id(node) not in self._bounds:
            self._bounds[id(node)] = self._allowed_values(node)
        bounds = self._bounds[id(node)]
        if isinstance(bounds, Between) and isinstance(value, q.Numeric):
            return q.compare(bounds.low, value) <= 0 <= q.compare(bounds.high, value)  # type: ignore[arg-type]
        return not isinstance(bounds, frozenset) or value in bounds

    def _allowed_values(self, node: t.Param) -> object:
        """What `in` names: a range, or a set. Once for a declaration, however many values it is asked about."""
        assert node.within is not None
        bounds = self.evaluator.within({}).value(node.within)
        if not isinstance(bounds, tuple):
            return bounds
        # `block(1, 4)` and `unstructured` in a list are names until the type reads them
        kind = self._kind(node.type, node.default or node.within)
        return frozenset(bounds if kind is None else map(kind.read, bounds))


def _from(folder: str, text: str, kind: Kind) -> str:
    """A path from outside the recipe, made absolute; what may also name a split waits for its attribute."""
    if not isinstance(kind, Reference) or not text or "://" in text:
        return text
    if kind.what == "dataset" and not set("/.~") & set(text):
        return Written(text, Span(0, 0), os.path.abspath(folder))
    return os.path.abspath(os.path.join(folder, os.path.expanduser(text)))


def _places(type: t.Expr, symbols: frozenset[str]) -> tuple[Span, ...]:
    """Where the names of a `one_of` stand."""
    values = [argument.value for argument in type.arguments] if isinstance(type, t.Call) else []
    return tuple(value.span for value in values if isinstance(value, t.Path) and value.text in symbols)


def read_file(parsed: Parsed, diagnostics: Diagnostics) -> dict[str, Given]:
    """A file of parameters: a header, and `set NAME = VALUE` for each."""
    given: dict[str, Given] = {}
    source = parsed.source
    for statement in parsed.recipe.statements if parsed.recipe else ():
        if not isinstance(statement, t.Set):
            if not isinstance(statement, t.Broken):
                help = "write `set NAME = VALUE`, one per line"
                at = Label(source, statement.span)
                diagnostics.say("E034", "a parameter file may hold only `set`", at, help=help)
            continue
        name = statement.path.text
        if name in given:
            message = f"`{name}` is set twice"
            at = Label(source, statement.path.span)
            diagnostics.say("E012", message, at, help="keep one of them")
        line = source.position(statement.span.start)[0]
        text, origin = source.slice(statement.value.span), f"{source.name}:{line}"
        given[name] = Given(text, origin, statement.value, source, statement.path.span)
    return given


def literal(source: Source, diagnostics: Diagnostics) -> t.Expr | None:
    """One expression, read by the grammar; its spans are those of `source`."""
    prefix = "recipe 1\nvalue = "
    found = Diagnostics()
    parsed = parse(Source(source.name, prefix + source.text), found)
    statements = parsed.recipe.statements if parsed.recipe else ()
    if len(found) or len(statements) != 1 or not isinstance(statements[0], t.Attribute):
        diagnostics.say(
            "E001",
            f"`{source.text}` is not a value",
            Label(source, Span(0, len(source.text))),
            help="write a value as in a recipe: `90%`, `30 epochs`, `uniform`, `[1, 2]`",
        )
        return None
    return t.moved(statements[0].value, -len(prefix))
