"""Values by memoised demand: parameters and lets form a graph, cycles are errors.

Total by construction: no recursion, loops or functions of the user's own, and
every number and value has a size cap, so evaluation is cheap as well as finite.
A mistake is reported once; what depends on it is silent (`POISON`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from recipelang.source import Diagnostic, Diagnostics, Edit, Fix, Label, RecipeError, Source, Span
from recipelang.source.suggest import closest
from recipelang.spec import selector as sel
from recipelang.spec.selector_kind import NODES, as_selector, role_hint
from recipelang.syntax import tree as t
from recipelang.values import quantities as q
from recipelang.values.composite import (
    POISON,
    Applied,
    Arrow,
    Between,
    Poison,
    SparsityPattern,
    StageRef,
    Symbol,
    Tolerance,
)
from recipelang.values.kinds import Mismatch, describe

MAX_PARTS = 20_000
MAX_CHAIN = 64
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


@dataclass
class Definition:
    """A parameter or let; `value` is set at most once, on first demand."""

    name: str
    kind: str  # "param" | "let"
    compute: Callable[[], object]
    span: Span
    used: bool = False


@dataclass
class Evaluator:
    """`measured` answers names and calls that exist only in claims; `None` elsewhere."""

    source: Source
    diagnostics: Diagnostics
    definitions: dict[str, Definition] = field(default_factory=dict)
    locals: Mapping[str, object] = field(default_factory=dict)
    measured: Callable[[t.Path | t.Call], object] | None = None
    _values: dict[str, object] = field(default_factory=dict)
    _active: list[str] = field(default_factory=list)
    _sizes: dict[int, tuple[object, int]] = field(default_factory=dict)

    def within(self, locals: Mapping[str, object]) -> Evaluator:
        """The same definitions, seen from a stage."""
        return Evaluator(
            self.source,
            self.diagnostics,
            self.definitions,
            locals,
            self.measured,
            self._values,
            self._active,
            self._sizes,
        )

    def claims(self, measured: Callable[[t.Path | t.Call], object]) -> Evaluator:
        """The same definitions, with measured names, as claims see them."""
        inner = self.within({})
        inner.measured = measured
        return inner

    def definition_value(self, name: str) -> object:
        """What a parameter or let came to."""
        return self._demand(name, self.definitions[name].span)

    # ------------------------------------------------------------ expressions
    def value(self, expr: t.Expr) -> object:
        try:
            return self._value(expr)
        except Mismatch as mismatch:
            return self.mismatch(mismatch, expr.span)
        except q.TooLarge:
            return self._error(
                "E020",
                "this number is too large",
                expr.span,
                help="numbers have at most 77 digits on either side of a fraction",
            )
        except RecipeError as error:
            self.diagnostics.extend(error.diagnostics)
            return POISON

    def _value(self, expr: t.Expr) -> object:
        match expr:
            case t.Number():
                return self._number(expr)
            case t.NM():
                if not 0 < expr.n <= expr.m:
                    return self._error("E038", f"`{expr.n}:{expr.m}` keeps none, or more than there are", expr.span)
                return SparsityPattern("N:M", expr.n, expr.m)
            case t.Text():
                return self._text(expr)
            case t.Pattern():
                return sel.Regex(expr.regex, span=expr.span)
            case t.Constant():
                return expr.value
            case t.Role():
                return sel.Role(expr.name, span=expr.span)
            case t.Path():
                return self._name(expr)
            case t.Call():
                return self._call(expr)
            case t.ListOf():
                return self._list(expr)
            case t.Unary():
                return self._unary(expr)
            case t.If():
                return self._if(expr)
        return self._binary(expr)

    def _number(self, expr: t.Number) -> object:
        if expr.unit is not None and expr.unit not in q.UNITS:
            near = closest(expr.unit, q.UNITS)
            at = expr.unit_span or expr.span
            fixes = (Fix(f"write `{near}`", (Edit(at, near),)),) if near else ()
            units = "epochs, steps, samples, tokens, B kB MB GB KiB MiB GiB, s min h, x"
            help = f"did you mean `{near}`?" if near else f"units are: {units}"
            return self._error("E025", f"unknown unit `{expr.unit}`", at, help=help, fixes=fixes)
        return q.make(expr.value, expr.unit, expr.percent)

    def _text(self, expr: t.Text) -> object:
        pieces: list[str] = []
        for part in expr.parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            value = self.value(part)
            if isinstance(value, Poison):
                return POISON
            if isinstance(value, Symbol):
                return self.unknown(part)
            from recipelang.spec.show import show

            pieces.append(value if isinstance(value, str) else show(value))
        text = "".join(pieces)
        return self._sized(text, expr.span, 1 + len(text) // 16)

    def _list(self, expr: t.ListOf) -> object:
        items = tuple(self.value(item) for item in expr.items)
        if any(isinstance(item, Poison) for item in items):
            return POISON
        return self._sized(items, expr.span, 1 + sum(self._size(item) for item in items))

    def _name(self, expr: t.Path) -> object:
        head = expr.names[0]
        if len(expr.names) == 1:
            if head in self.locals:
                return self.locals[head]
            if head in self.definitions:
                return self._demand(head, expr.span)
        if self.measured is not None:
            return self.measured(expr)
        if len(expr.names) == 2 and head == "stage":
            return StageRef(expr.names[1])
        if len(expr.names) == 1:
            return Symbol(head)
        return self.unknown(expr)

    def unknown(self, expr: t.Path, hint: str | None = None) -> Poison:
        near = closest(expr.text, self.definitions)
        fixes = (Fix(f"write `{near}`", (Edit(expr.span, near),)),) if near else ()
        names = ", ".join(f"`{n}`" for n in list(self.definitions)[:8])
        if expr.text in ("start", "end"):
            hint = "`start` and `end` are the ends of a stage, and known inside it only"
        hint = hint or (f"defined here: {names}" if names else f"define it with `let {expr.names[0]} = ...`")
        help = f"did you mean `{near}`?" if near else hint
        return self._error("E022", f"unknown name `{expr.text}`", expr.span, help=help, fixes=fixes)

    def _demand(self, name: str, span: Span) -> object:
        definition = self.definitions[name]
        definition.used = True
        if name in self._values:
            return self._values[name]
        if name in self._active:
            circle = self._active[self._active.index(name) :]
            self._values[name] = POISON
            return self._error(
                "E021",
                f"`{name}` is defined by itself",
                definition.span,
                help="give one of them a value that needs none of the others" if circle[1:] else "give it a value",
                secondary=tuple(Label(self.source, self.definitions[n].span, "needed on the way") for n in circle[1:]),
                notes=(f"the circle is {' -> '.join([*circle, name])}",),
            )
        if len(self._active) >= MAX_CHAIN:
            message = f"more than {MAX_CHAIN} definitions hang on each other"
            return self._error("E044", message, span, help="write the value itself somewhere on the way")
        self._active.append(name)
        try:
            value = definition.compute()
        finally:
            self._active.pop()
        return self._values.setdefault(name, value)

    def _call(self, expr: t.Call) -> object:
        if self.measured is not None:
            return self.measured(expr)
        arguments: list[tuple[str | None, object, Span]] = []
        for argument in expr.arguments:
            value = self.value(argument.value)
            if isinstance(value, Poison):
                return POISON
            if argument.name in ("over", "at") and "end" in self.locals:
                value = _share_of_stage(value, self.locals["end"])
            arguments.append((argument.name, value, argument.value.span))
        return Applied(expr.function.text, tuple(arguments), expr.function.span)

    def _if(self, expr: t.If) -> object:
        condition = self.value(expr.condition)
        if isinstance(condition, Poison):
            return POISON
        if not isinstance(condition, bool):
            message = f"expected `true` or `false`, found {describe(condition)}"
            return self._error("E024", message, expr.condition.span, help="compare it, as in `if target > 90% then`")
        return self.value(expr.then if condition else expr.other)

    # -------------------------------------------------------------- operators
    def _unary(self, expr: t.Unary) -> object:
        value = self.value(expr.operand)
        if isinstance(value, Poison):
            return POISON
        if expr.operator == "!":
            return sel.Not(as_selector(value), span=expr.span)
        if expr.operator == "not":
            if not isinstance(value, bool):
                return self._error("E024", f"`not` needs `true` or `false`, found {describe(value)}", expr.operand.span)
            return not value
        if not isinstance(value, q.Numeric):
            return self._operand(expr.operand, value, "a number", "-")
        return q.negate(value)

    def _binary(self, expr: t.Binary) -> object:
        operator = expr.operator
        if operator in ("and", "or"):
            return self._logic(expr)
        if operator == "per":
            return self._rate(expr)
        left, right = self.value(expr.left), self.value(expr.right)
        if isinstance(left, Poison) or isinstance(right, Poison):
            return POISON
        match operator:
            case "->":
                return Arrow(left, right)
            case "..":
                return Between(self._take_unit(expr.left, left, right), right)
            case "±":
                return Tolerance(left, right)
            case "&" | "|" | "except":
                return self._select(operator, expr, left, right)
            case "in":
                return self._contains(expr, left, right)
        if operator in COMPARISONS:
            return self.compare(expr, left, right)
        return self._arithmetic(expr, left, right)

    def _take_unit(self, tree: t.Expr, left: object, right: object) -> object:
        """The left end of a range takes the right's unit: `2..28 epochs`."""
        if isinstance(left, q.Quantity) and left.unit is None and not left.percent:
            if isinstance(right, q.Time):
                return q.Time(steps=left.value) if right.steps and not right.epochs else q.Time(epochs=left.value)
            if isinstance(right, q.Quantity):
                return q.Quantity(left.value, right.unit)
        return left

    def _select(self, operator: str, expr: t.Binary, left: object, right: object) -> object:
        sides: list[sel.Selector] = []
        for tree, value in ((expr.left, left), (expr.right, right)):
            if isinstance(value, Symbol) and isinstance(tree, t.Path):
                return self.unknown(tree, role_hint(value.name))
            if not isinstance(value, NODES) and not isinstance(value, str | Applied):
                return self._operand(tree, value, "a selector", operator)
            sides.append(as_selector(value))
        if operator == "except":
            return sel.Except(sides[0], sides[1], span=expr.span)
        node = sel.And if operator == "&" else sel.Or
        return node((sides[0], sides[1]), span=expr.span)

    def _logic(self, expr: t.Binary) -> object:
        left = self.value(expr.left)
        if isinstance(left, bool) and left == (expr.operator == "or"):
            return left
        right = self.value(expr.right)
        if isinstance(left, Poison) or isinstance(right, Poison):
            return POISON
        for tree, value in ((expr.left, left), (expr.right, right)):
            if not isinstance(value, bool):
                return self._operand(tree, value, "`true` or `false`", expr.operator)
        return right

    def _rate(self, expr: t.Binary) -> object:
        value = self.value(expr.left)
        unit = expr.right.text if isinstance(expr.right, t.Path) else ""
        if isinstance(value, Poison):
            return POISON
        if unit not in ("epoch", "epochs"):
            help = "write `10 per epoch`"
            return self._error("E025", f"there is no rate per `{unit}`", expr.right.span, help=help)
        if not isinstance(value, q.Quantity) or value.unit is not None:
            return self._operand(expr.left, value, "a plain number", "per")
        return q.Rate(value.value)

    def _arithmetic(self, expr: t.Binary, left: object, right: object) -> object:
        for tree, value in ((expr.left, left), (expr.right, right)):
            if isinstance(value, Symbol) and isinstance(tree, t.Path):
                return self.unknown(tree)
            if not isinstance(value, q.Numeric):
                return self._operand(tree, value, "a number", expr.operator)
        assert isinstance(left, q.Numeric) and isinstance(right, q.Numeric)
        try:
            match expr.operator:
                case "+":
                    return q.add(left, right)
                case "-":
                    return q.add(left, right, -1)
                case "*":
                    return q.multiply(left, right)
            return q.divide(left, right)
        except q.UnitError:
            return self._units(expr, left, right)
        except ZeroDivisionError:
            return self._error("E030", "division by zero", expr.right.span, label="this is 0")

    def compare(self, expr: t.Binary, left: object, right: object) -> object:
        """`==` and `!=` on like things, the rest on numbers; `± t` widens equality."""
        tolerance: object = q.Quantity(Fraction(0))
        if isinstance(right, Tolerance):
            if expr.operator not in ("==", "!="):
                help = "write `== value ± tolerance`"
                return self._error("E024", "`±` goes with `==` or `!=`", expr.right.span, help=help)
            right, tolerance = right.value, right.tolerance
        if isinstance(left, q.Numeric) and isinstance(right, q.Numeric):
            try:
                return self._ordered(expr.operator, left, right, tolerance)
            except q.UnitError:
                return self._units(expr, left, right)
        for tree, value in ((expr.left, left), (expr.right, right)):
            if (
                isinstance(value, Symbol)
                and isinstance(tree, t.Path)
                and isinstance(left, q.Numeric | Symbol)
                and isinstance(right, q.Numeric)
            ):
                return self.unknown(tree)
        if expr.operator in ("==", "!="):
            return (left == right) == (expr.operator == "==")
        wrong = (expr.left, left) if not isinstance(left, q.Numeric) else (expr.right, right)
        return self._operand(*wrong, "a number", expr.operator)

    @staticmethod
    def _ordered(operator: str, left: q.Numeric, right: q.Numeric, tolerance: object) -> bool:
        if operator in ("==", "!=") and isinstance(tolerance, q.Quantity) and tolerance.value:
            gap = q.add(left, right, -1)
            if q.compare(gap, q.negate(gap)) < 0:
                gap = q.negate(gap)
            return (q.compare(gap, tolerance) <= 0) == (operator == "==")
        order = q.compare(left, right)
        return {
            "==": order == 0,
            "!=": order != 0,
            "<": order < 0,
            "<=": order <= 0,
            ">": order > 0,
            ">=": order >= 0,
        }[operator]

    def _contains(self, expr: t.Binary, left: object, right: object) -> object:
        if isinstance(right, Between):
            if not all(isinstance(x, q.Numeric) for x in (left, right.low, right.high)):
                return self._operand(expr.left, left, "a number", "in")
            try:
                return q.compare(right.low, left) <= 0 <= q.compare(right.high, left)  # type: ignore[arg-type]
            except q.UnitError:
                return self._units(expr, left, right.high)
        if isinstance(right, tuple):
            return left in right
        return self._operand(expr.right, right, "a range or a list", "in")

    # --------------------------------------------------------------- messages
    def _units(self, expr: t.Binary, left: object, right: object) -> Poison:
        labels = (
            Label(self.source, expr.left.span, describe(left)),
            Label(self.source, expr.right.span, describe(right)),
        )
        plain = next(
            (
                tree
                for tree, v in ((expr.left, left), (expr.right, right))
                if isinstance(v, q.Quantity) and v.unit is None
            ),
            None,
        )
        timed = isinstance(left, q.Time) or isinstance(right, q.Time)
        fixes: tuple[Fix, ...] = ()
        if isinstance(plain, t.Number) and timed and expr.operator not in ("*", "/"):
            unit = " epoch" if plain.value == 1 else " epochs"
            fixes = (Fix("write the unit", (Edit(Span(plain.span.end, plain.span.end), unit),), "unsafe"),)
        message, help = f"`{expr.operator}` needs the same unit on both sides", "give both sides one unit"
        if fixes:
            help = "say which unit is meant"
        if expr.operator in ("*", "/"):
            message = f"these two units cannot be {'multiplied' if expr.operator == '*' else 'divided'}"
            help = "one side must be a plain number"
        return self._error("E023", message, expr.operator_span, help=help, secondary=labels, fixes=fixes)

    def _operand(self, tree: t.Expr, value: object, wanted: str, operator: str) -> Poison:
        if isinstance(value, Symbol) and isinstance(tree, t.Path):
            return self.unknown(tree)
        return self._error("E024", f"`{operator}` needs {wanted}, found {describe(value)}", tree.span)

    def mismatch(self, mismatch: Mismatch, span: Span) -> Poison:
        span = mismatch.span or span
        fixes = (
            (Fix(f"write `{mismatch.replacement}`", (Edit(span, mismatch.replacement),)),)
            if mismatch.replacement
            else ()
        )
        return self._error(mismatch.code, mismatch.message, span, help=mismatch.help, fixes=fixes)

    def _error(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        help: str | None = None,
        label: str = "",
        secondary: tuple[Label, ...] = (),
        notes: tuple[str, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> Poison:
        at = Label(self.source, span, label)
        self.diagnostics.add(Diagnostic(code, message, at, secondary, notes, (help,) if help else (), fixes))
        return POISON

    # ------------------------------------------------------------------- size
    def _size(self, value: object) -> int:
        known = self._sizes.get(id(value))
        return known[1] if known and known[0] is value else 1

    def _sized(self, value: object, span: Span, parts: int) -> object:
        """Count a value as written out, shared parts each time."""
        if parts > MAX_PARTS:
            message = f"this value has more than {MAX_PARTS:,} parts"
            return self._error("E043", message, span, help="a list inside a list counts each time it is used")
        self._sizes[id(value)] = (value, parts)
        return value


def _share_of_stage(value: object, length: object) -> object:
    """`5%..95%` as a window means of the stage."""
    if not isinstance(length, q.Time):
        return value
    if isinstance(value, Between):
        return Between(_share_of_stage(value.low, length), _share_of_stage(value.high, length))
    if isinstance(value, q.Quantity) and value.percent:
        return length.times(value.value)
    return value
