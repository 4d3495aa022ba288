"""Values by memoised demand: parameters and lets form a graph, cycles are errors.

Total by construction: no recursion, loops or functions of the user's own, and
every number and value has a size cap, so evaluation is cheap as well as finite.
A mistake is reported once; what depends on it is silent (`POISON`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from recipelang.kinds import globs
from recipelang.kinds.base import Mismatch, describe
from recipelang.kinds.tensors import as_selector
from recipelang.kinds.text import show
from recipelang.methods import METHODS
from recipelang.source import Diagnostics, Label, RecipeError, Sources, Span
from recipelang.source.suggest import closest, instead
from recipelang.spec import operators
from recipelang.spec.scope import MAX_PARTS, Definition, Scope
from recipelang.syntax import tree as t
from recipelang.values import aliases, quantities as q, selector as sel
from recipelang.values.composite import (
    POISON,
    Applied,
    Arrow,
    Between,
    Poison,
    SparsityPattern,
    StageRef,
    Symbol,
    Written,
)

#: of parts of values that are used by name, each time anew: what is made of a value takes time for every part of it
MAX_USED = 100_000
MAX_CHAIN = 64
#: the function whose values make stages: written out before anything is bound (`spec/ladder.py`)
EACH = "each"
#: of expressions inside each other, definitions included; far below what Python's own stack holds
MAX_DEPTH = 160
#: findings about names alone, which hold whether or not a value is needed
NAMES = ("E022", "E025", "E073", "E091")


@dataclass(repr=False, eq=False)
class Evaluator(Scope):
    """`measured` answers names and calls that exist only in claims; `None` elsewhere."""

    measured: Callable[[t.Path | t.Call], object] | None = None
    #: names whose definition could not be read: that was reported, their uses are silent
    unread: set[str] = field(default_factory=set)
    #: names of the recipe's evaluations: `dev.f1` is the name of what one measures, where an attribute asks for that
    evaluations: frozenset[str] = frozenset()
    _active: list[str] = field(default_factory=list)
    _chains: dict[str, int] = field(default_factory=dict)  # definitions that hang on each other, this one included
    _below: list[int] = field(default_factory=list)  # the longest chain met so far under each active definition
    _depth: list[int] = field(default_factory=lambda: [0])
    _used: list[float] = field(default_factory=lambda: [0])

    def within(self, locals: Mapping[str, object]) -> Evaluator:
        """The same definitions, seen from a stage."""
        return replace(self, locals=locals)

    def claims(self, measured: Callable[[t.Path | t.Call], object]) -> Evaluator:
        """The same definitions, with measured names, as claims see them."""
        return self.apart(self.diagnostics, measured)

    def apart(self, diagnostics: Diagnostics, measured: Callable[[t.Path | t.Call], object] | None = None) -> Evaluator:
        """The same definitions and what they came to, with findings of its own, outside any stage."""
        inner = self.within({})
        inner.diagnostics, inner.measured = diagnostics, measured
        return inner

    def definition_value(self, name: str) -> object:
        """What a parameter or let came to."""
        return self._demand(name, self.definitions[name].span)

    # ------------------------------------------------------------ expressions
    def value(self, expr: t.Expr) -> object:
        if self._depth[0] >= MAX_DEPTH:
            return self._too_deep("this expression is nested too deeply", expr.span)
        self._depth[0] += 1
        try:
            return self._value(expr)
        except (Mismatch, q.TooLarge, RecipeError) as error:
            return self._caught(error, expr)
        finally:
            self._depth[0] -= 1

    def _caught(self, error: Exception, expr: t.Expr) -> Poison:
        if isinstance(error, Mismatch):
            return self.misfit(error, expr)
        if isinstance(error, RecipeError):
            self.diagnostics.extend(error.diagnostics)
            return POISON
        help = "numbers have at most 77 digits on either side of a fraction"
        return self.error("E020", "this number is too large", expr.span, help=help)

    def _value(self, expr: t.Expr) -> object:
        match expr:
            case t.Number():
                return self._number(expr)
            case t.NM():
                if not 0 < expr.n <= expr.m:
                    return self.error(
                        "E038", f"`{expr.n}:{expr.m}` keeps no weights, or more than each group has", expr.span
                    )
                return SparsityPattern("N:M", expr.n, expr.m)
            case t.Text():
                return self._text(expr)
            case t.Pattern():
                globs.regex(expr.regex)
                return sel.Regex(expr.regex, span=expr.span)
            case t.Constant():
                return expr.value
            case t.Role():
                return self._role(expr)
            case t.Path():
                return self._name(expr)
            case t.Call():
                return self._call(expr)
            case t.ListOf():
                return self._list(expr)
            case t.Picked():
                values = self.value(expr.values)
                return values[expr.place] if isinstance(values, tuple) else POISON
            case t.Unary():
                return self._unary(expr)
            case t.If():
                return self._if(expr)
            case t.Binary():
                return self._binary(expr)
        raise AssertionError(f"not evaluated by itself: {expr}")  # an edit is the binder's: it knows the kind

    def _number(self, expr: t.Number) -> object:
        if expr.unit is not None and expr.unit not in q.UNITS:
            return self._unknown_unit(expr, expr.unit)
        return q.make(expr.value, expr.unit, expr.percent)

    def _unknown_unit(self, expr: t.Number, unit: str) -> Poison:
        at = expr.unit_span or expr.span
        # `2 epoch` is read, but nobody means it: one is offered where the number is 1, many elsewhere
        other_number = [
            u if expr.value == 1 else u.removesuffix("s") for u in q.UNITS if len(u) > 1 and u.endswith("s")
        ]
        units = [u for u in q.UNITS if u not in other_number]
        near = aliases.meant(unit, aliases.UNITS, (*q.UNITS, "%")) or closest(unit, units)
        if near == "%":
            # between the number and its unit stands white space alone
            at = Span(expr.span.start, at.end)
            near = f"{self.source.slice(expr.span).removesuffix(unit).rstrip()}%"
        every = "epochs, steps, samples, tokens, B kB MB GB KiB MiB GiB, ms s min h, x"
        help = f"did you mean `{near}`?" if near else f"units are: {every}"
        fixes = instead(unit, near, at, units)
        return self.error("E025", f"unknown unit `{unit}`", expr.unit_span or expr.span, help=help, fixes=fixes)

    def _role(self, expr: t.Role) -> object:
        if expr.name in sel.ROLES:
            return sel.Role(expr.name, span=expr.span)
        near = closest(expr.name, sel.ROLES) or aliases.meant(expr.name, aliases.ROLES, sel.ROLES)
        fixes = instead(expr.name, near, expr.span, sel.ROLES, sign="@")
        help = f"did you mean `@{near}`?" if near else f"roles are {', '.join(f'`@{r}`' for r in sel.ROLES)}"
        return self.error("E073", f"unknown role `@{expr.name}`", expr.span, help=help, fixes=fixes)

    def _text(self, expr: t.Text) -> object:
        pieces: list[str] = []
        parts = 1
        for part in expr.parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            value = self.value(part)
            if self.is_unread(value):
                return POISON
            if self.is_bare(part, value):
                return self.unknown(part)
            parts += self._size(value)
            if parts > MAX_PARTS:
                return self._too_big(expr.span)
            pieces.append(value if isinstance(value, str) else show(value))
        text = "".join(pieces)
        if isinstance(self.source, Sources):
            text = Written(text, expr.span)
        return self.sized(text, expr.span, parts=1 + len(text) // 16)

    def _list(self, expr: t.ListOf) -> object:
        items = tuple(self.value(item) for item in expr.items)
        if any(isinstance(item, Poison) for item in items):
            return POISON  # of a call that holds such a value, the rest is judged
        return self.sized(items, expr.span, *items)

    def _name(self, expr: t.Path) -> object:
        head = expr.names[0]
        if expr.library:
            pass
        elif len(expr.names) == 1:
            if head in self.locals:
                return self.locals[head]
            if head in self.definitions:
                return self._demand(head, expr.span)
        elif expr.text in self.definitions:  # of a library: `alias.name`
            return self._demand(expr.text, expr.span)
        if head in self.unread:
            return POISON
        if self.measured is not None and len(expr.names) > 1:
            return self.measured(expr)
        if len(expr.names) == 2 and head == "stage":
            return StageRef(expr.names[1])
        if len(expr.names) == 1:
            return Symbol(head)
        if expr.text in METHODS or (len(expr.names) == 2 and head in self.evaluations):
            return Symbol(expr.text)
        near = closest(head, self.evaluations) if len(expr.names) == 2 else None
        return self.unknown(expr, known=(f"{near}.{expr.names[1]}",) if near else ())

    def defines(self, path: t.Path) -> bool:
        """Whether it is a definition of a library, `alias.name`, and so nothing that claims measure."""
        return path.text in self.definitions

    def _demand(self, name: str, span: Span) -> object:
        definition = self.definitions[name]
        definition.used = True
        if name not in self._values:
            if name in self._active:
                return self._circle(definition)
            if len(self._active) >= MAX_CHAIN:
                return self._long_chain(span)
            self._compute(definition)
        if self._below:
            self._below[-1] = max(self._below[-1], self._chains.get(name, 0))
        return self._counted(self._values[name], span)

    def _counted(self, value: object, span: Span) -> object:
        """The value, unless too much has been used by name: said once, the rest is silent."""
        before = self._used[0]
        # a text is copied, not walked over
        self._used[0] += len(value) // 256 if isinstance(value, str) else self._size(value) - 1
        if self._used[0] <= MAX_USED:
            return value
        if before > MAX_USED:
            return POISON
        message = f"named values expand to more than {MAX_USED:,} parts in total"
        return self.error("E043", message, span, help="a value counts each time it is used: use large ones less often")

    def count_no_more(self) -> None:
        """What was checked within its limit may be evaluated again."""
        self._used[0] = float("-inf")

    def _circle(self, definition: Definition) -> Poison:
        name = definition.name
        circle = self._active[self._active.index(name) :]
        self._values[name] = POISON
        return self.error(
            "E021",
            f"`{name}` is defined in terms of itself",
            definition.span,
            help="give one of them a value that does not depend on the others" if circle[1:] else "give it a value",
            secondary=tuple(Label(self.source, self.definitions[n].span, "part of the cycle") for n in circle[1:]),
            notes=(f"the cycle is {' -> '.join([*circle, name])}",),
        )

    def _long_chain(self, span: Span) -> Poison:
        message = f"a chain of definitions is longer than {MAX_CHAIN}"
        return self._too_deep(message, span, help="replace one of the names in the chain by its value")

    def _compute(self, definition: Definition) -> None:
        """Set the value, and the length of the chain below it: the same whatever order they are written in."""
        self._active.append(definition.name)
        self._below.append(0)
        try:
            value = definition.compute()
        finally:
            self._active.pop()
            chain = self._below.pop() + 1
        if chain > MAX_CHAIN and not isinstance(value, Poison):
            value = self._long_chain(definition.span)
        self._values.setdefault(definition.name, value)
        self._chains[definition.name] = 0 if isinstance(value, Poison) else chain

    def _call(self, expr: t.Call) -> object:
        if self.measured is not None:
            return self.measured(expr)
        if expr.function.text == EACH:  # of a stage that could not be written out, as was told
            return POISON
        arguments: list[tuple[str | None, object, Span]] = []
        for argument in expr.arguments:
            value = self.value(argument.value)
            if self.holds_unread(value) and not isinstance(value, Arrow | Between):
                return POISON
            if argument.name in ("over", "at") and "end" in self.locals:
                value = _share_of_stage(value, self.locals["end"])
            arguments.append((argument.name, value, argument.value.span))
        call = Applied(expr.function.text, tuple(arguments), expr.function.span)
        return self.sized(call, expr.span, *(value for _, value, _ in arguments))

    def _if(self, expr: t.If) -> object:
        condition = self.value(expr.condition)
        if isinstance(condition, Poison):
            return POISON
        if not isinstance(condition, bool):
            message = f"expected `true` or `false`, found {describe(condition)}"
            return self.error("E024", message, expr.condition.span, help="compare it, as in `if target > 90% then`")
        self.look_over(expr.other if condition else expr.then)
        return self.value(expr.then if condition else expr.other)

    def look_over(self, expr: t.Expr) -> None:
        """What is not needed may divide by zero, but every name in it must be known."""
        quiet = self.within(self.locals)
        quiet.diagnostics = Diagnostics()
        quiet.value(expr)
        self.diagnostics.extend([d for d in quiet.diagnostics if d.code in NAMES])

    def _unary(self, expr: t.Unary) -> object:
        value = self.value(expr.operand)
        if isinstance(value, Poison):
            return POISON
        if expr.operator == "!":
            return self.sized(sel.Not(as_selector(value), span=expr.span), expr.span, value)
        if expr.operator == "not":
            if not isinstance(value, bool):
                return self.error("E024", f"`not` needs `true` or `false`, found {describe(value)}", expr.operand.span)
            return not value
        if not isinstance(value, q.Numeric):
            return self.operand(expr.operand, value, "a number", "-")
        return q.negate(value)

    def _binary(self, expr: t.Binary) -> object:
        """A chain such as `a + b + c` leans to the left: folded in a loop, it takes no stack."""
        spine = [expr]
        while isinstance(inner := spine[-1].left, t.Binary):
            spine.append(inner)
        left = self.value(spine[-1].left)
        for node in reversed(spine):
            try:
                left = operators.apply(self, node, left)
            except (Mismatch, q.TooLarge, RecipeError) as error:
                left = self._caught(error, node)
        return left


def _share_of_stage(value: object, length: object) -> object:
    """`5%..95%` as a window means of the stage."""
    if isinstance(length, Poison) and isinstance(value, q.Quantity) and value.percent:
        return POISON
    if isinstance(value, Between):
        return Between(_share_of_stage(value.low, length), _share_of_stage(value.high, length))
    if isinstance(length, q.Time) and isinstance(value, q.Quantity) and value.percent:
        return length.times(value.value)
    return value
