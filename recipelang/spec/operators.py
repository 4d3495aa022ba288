"""What an operator makes of two values: numbers, selectors, windows, comparisons, truth.

The evaluator walks an expression and asks here, one operator at a time; what
does not go together is told through it.
"""

from __future__ import annotations

from recipelang.kinds.base import describe
from recipelang.kinds.tensors import as_selector, role_hint
from recipelang.source import Edit, Fix, Label, Span
from recipelang.source.suggest import closest, instead
from recipelang.spec.scope import Scope
from recipelang.syntax import tree as t
from recipelang.values import quantities as q, selector as sel
from recipelang.values.composite import (
    POISON,
    Applied,
    Arrow,
    Between,
    Poison,
    SparsityPattern,
    Symbol,
    Tolerance,
)

#: how each is written -> what it gives, with an example and its value; from loose to tight, rows of one `level` alike
OPERATORS: tuple[tuple[int, str, str, str, str], ...] = (
    (0, "if C then A else B", "one of two values; needs parentheses inside another expression",
     "if 90% > 80% then 84.9% else 82.3%", "84.9%"),
    (1, "A or B", "true if either is true", "1 > 2 or 2 > 1", "true"),
    (2, "A and B", "true if both are true", "1 > 2 and 2 > 1", "false"),
    (3, "not A", "true if it is false", "not 1 > 2", "true"),
    (4, "A == B", "true if they are equal; `!=` if they differ", "90% == 0.9", "true"),
    (4, "A < B", "true if A is less; also `<=`, `>`, `>=`. Comparisons cannot be chained", "2 epochs < 3 epochs", "true"),
    (4, "A in B", "true if A is in the range, ends included, or in the list", "2:4 in [1:4, 2:4]", "true"),
    (5, "A ± B", "tolerance of `==`; also written `+/-`", "89.95% == 90% ± 0.1%", "true"),
    (6, "A -> B", "a change from A to B, in a shape", "70% -> 97%", ""),
    (7, "A .. B", "a range or a window; the left end takes the unit of the right", "2..28 epochs", "2 epochs..28 epochs"),
    (8, "A except B", "selectors: A without B", "@linear except @head", ""),
    (9, "A | B", "selectors: either", "@embeddings | @head", ""),
    (10, "A & B", "selectors: both", "@linear & @encoder", ""),
    (11, "A + B", "sum; `-` is the difference. Epochs plus steps are a span", "1 epoch - 0.5 epochs", "0.5 epochs"),
    (12, "A * B", "product; `/` is the quotient. Division is exact", "3 epochs / 2 * 4", "6 epochs"),
    (13, "-A", "negation; `!A` of a selector: all other tensors", "-2 + 3", "1"),
    (14, "A per epoch", "a rate", "10 per epoch", ""),
)  # fmt: skip

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


def apply(ev: Scope, expr: t.Binary, left: object) -> object:
    operator = expr.operator
    if operator in ("and", "or"):
        return logic(ev, expr, left)
    if operator == "per":
        return rate(ev, expr, left)
    right = ev.value(expr.right)
    # a change or a window with an end that is not known is one all the same: its other end is judged
    if ev.holds_unread(left) or ev.holds_unread(right):
        return POISON
    if operator not in ("->", "..") and (ev.is_unread(left) or ev.is_unread(right)):
        return POISON
    match operator:
        case "->":
            return ev.sized(Arrow(left, right), expr.span, left, right)
        case "..":
            low = take_unit(ev, left, right)
            if is_backwards(ev, low, right):
                return backwards(ev, expr)
            return ev.sized(Between(low, right), expr.span, left, right)
        case "±":
            return ev.sized(Tolerance(left, right), expr.span, left, right)
        case "&" | "|" | "except":
            return select(ev, operator, expr, left, right)
        case "in":
            return contains(ev, expr, left, right)
    if operator in COMPARISONS:
        return compare(ev, expr, left, right)
    return arithmetic(ev, expr, left, right)


def take_unit(ev: Scope, left: object, right: object) -> object:
    """The left end of a range takes the right's unit: `2..28 epochs`."""
    if isinstance(left, q.Quantity) and left.unit is None and not left.percent:
        if isinstance(right, q.Time):
            return q.Time(steps=left.value) if right.steps and not right.epochs else q.Time(epochs=left.value)
        if isinstance(right, q.Quantity):
            return q.Quantity(left.value, right.unit)
    return left


def is_backwards(ev: Scope, low: object, high: object) -> bool:
    """The first end is above the second. `layers(2..-1)` counts from the end, and a window is judged in its stage."""
    if not isinstance(low, q.Numeric) or not isinstance(high, q.Numeric):
        return False
    if isinstance(low, q.Time) and "end" in ev.locals:
        return False
    try:
        above = q.compare(low, high) > 0
    except q.UnitError:
        return False
    if not (isinstance(low, q.Quantity) and isinstance(high, q.Quantity)):
        return above
    from_the_end = high.value < 0 <= low.value
    return above and not from_the_end and low.percent == high.percent  # `50..99%` lacks a sign


def backwards(ev: Scope, expr: t.Binary) -> Poison:
    texts = (ev.source.slice(expr.right.span), ev.source.slice(expr.left.span))
    if isinstance(expr.left, t.Number) and isinstance(expr.right, t.Number) and expr.left.unit != expr.right.unit:
        # a left end without a unit has the right's
        return ev.error("E028", "this range runs backwards", expr.span, help="the smaller end must come first")
    fixes = (Fix("swap its ends", (Edit(expr.span, "..".join(texts)),), "unsafe"),)
    help = f"write `{'..'.join(texts)}`"
    return ev.error("E028", "this range runs backwards", expr.span, help=help, fixes=fixes)


def select(ev: Scope, operator: str, expr: t.Binary, left: object, right: object) -> object:
    sides: list[sel.Selector] = []
    for tree, value in ((expr.left, left), (expr.right, right)):
        if ev.is_bare(tree, value):
            return ev.unknown(tree, role_hint(tree.text))
        if not isinstance(value, sel.NODES) and not isinstance(value, str | Applied):
            return ev.operand(tree, value, "a selector", operator)
        sides.append(as_selector(value))
    if operator == "except":
        return ev.sized(sel.Except(sides[0], sides[1], span=expr.span), expr.span, *sides)
    node = sel.And if operator == "&" else sel.Or
    # `a & b & c` is one list of three: a chain does not nest
    items = sum((s.items if isinstance(s, node) else (s,) for s in sides), ())
    depth = max(ev.nesting(s) - isinstance(s, node) for s in sides)
    return ev.sized(node(items, span=expr.span), expr.span, *sides, depth=1 + depth)


def logic(ev: Scope, expr: t.Binary, left: object) -> object:
    if isinstance(left, bool) and left == (expr.operator == "or"):
        ev.look_over(expr.right)
        return left
    right = ev.value(expr.right)
    if isinstance(left, Poison) or isinstance(right, Poison):
        return POISON
    for tree, value in ((expr.left, left), (expr.right, right)):
        if isinstance(value, sel.NODES):
            sign = "&" if expr.operator == "and" else "|"
            fixes = (Fix(f"write `{sign}`", (Edit(expr.operator_span, sign),)),)
            message, help = f"`{expr.operator}` does not join selectors", f"write `{sign}`"
            return ev.error("E024", message, expr.operator_span, help=help, fixes=fixes)
        if not isinstance(value, bool):
            return ev.operand(tree, value, "`true` or `false`", expr.operator)
    return right


def rate(ev: Scope, expr: t.Binary, value: object) -> object:
    unit = expr.right.text if isinstance(expr.right, t.Path) else ""
    if isinstance(value, Poison):
        return POISON
    if unit not in ("epoch", "epochs"):
        near = closest(unit, ["epoch"], ["epochs"])
        help = f"did you mean `{near}`?" if near else "write `10 per epoch`"
        fixes = instead(unit, near, expr.right.span)
        return ev.error("E025", f"there is no rate per `{unit}`", expr.right.span, help=help, fixes=fixes)
    if not isinstance(value, q.Quantity) or value.unit is not None:
        return ev.operand(expr.left, value, "a plain number", "per")
    return q.Rate(value.value)


def arithmetic(ev: Scope, expr: t.Binary, left: object, right: object) -> object:
    for tree, value in ((expr.left, left), (expr.right, right)):
        if ev.is_bare(tree, value):
            return ev.unknown(tree)
        if not isinstance(value, q.Numeric):
            return ev.operand(tree, value, "a number", expr.operator)
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
        return units(ev, expr, left, right)
    except ZeroDivisionError:
        return ev.error("E030", "division by zero", expr.right.span, label="this is 0")


def compare(ev: Scope, expr: t.Binary, left: object, right: object) -> object:
    """`==` and `!=` on like things, the rest on numbers; `± t` widens equality."""
    if isinstance(right, Tolerance):
        return within_tolerance(ev, expr, left, right)
    for tree, value, other_tree, other in (
        (expr.left, left, expr.right, right),
        (expr.right, right, expr.left, left),
    ):
        if ev.is_bare(tree, value):
            if isinstance(other, q.Numeric):
                return ev.unknown(tree)
            if (wrong := not_one_of(ev, tree, other_tree, other)) is not None:
                return wrong
    if isinstance(left, q.Numeric) and isinstance(right, q.Numeric):
        try:
            return ordered(expr.operator, q.compare(left, right))
        except q.UnitError:
            return units(ev, expr, left, right)
    if expr.operator in ("==", "!="):
        if _sort(left) != _sort(right) and None not in (left, right):
            message, help = f"`{expr.operator}` needs values of one kind on both sides", "compare values of one kind"
            return ev.error("E024", message, expr.operator_span, help=help, secondary=sides(ev, expr, left, right))
        return (_plain(left) == _plain(right)) == (expr.operator == "==")
    wrong_side = (expr.left, left) if not isinstance(left, q.Numeric) else (expr.right, right)
    return ev.operand(*wrong_side, "a number", expr.operator)


def not_one_of(ev: Scope, tree: t.Path, other_tree: t.Expr, other: object) -> Poison | None:
    """A bare name compared with a value: it must be one that the value can have."""
    known: tuple[str, ...] | None = None
    if isinstance(other_tree, t.Path):
        defined = ev.definitions.get(other_tree.text)
        known = defined.symbols if defined else () if isinstance(other, Symbol) else None
    if known is None and isinstance(other, SparsityPattern):
        known = ("unstructured",)
    if known is None or tree.text in known:
        return None
    if not known:
        return ev.unknown(tree)
    near = closest(tree.text, known, ev.definitions)
    fixes = instead(tree.text, near, tree.span, (*known, *ev.definitions))
    help = f"did you mean `{near}`?" if near else f"it is one of {', '.join(f'`{n}`' for n in known[:12])}"
    return ev.error("E022", f"unknown name `{tree.text}`", tree.span, help=help, fixes=fixes)


def within_tolerance(ev: Scope, expr: t.Binary, left: object, right: Tolerance) -> object:
    if expr.operator not in ("==", "!="):
        help = "write `== value ± tolerance`"
        return ev.error("E024", "`±` goes with `==` or `!=`", expr.right.span, help=help)
    tree = expr.right if isinstance(expr.right, t.Binary) and expr.right.operator == "±" else None
    sides = (
        (expr.left, left),
        (tree.left if tree else expr.right, right.value),
        (tree.right if tree else expr.right, right.tolerance),
    )
    for side, value in sides:
        if not isinstance(value, q.Numeric):
            return ev.operand(side, value, "a number", "±" if side is not expr.left else expr.operator)
    value, tolerance = right.value, right.tolerance
    assert isinstance(left, q.Numeric) and isinstance(value, q.Numeric) and isinstance(tolerance, q.Numeric)
    try:
        gap = q.add(left, value, -1)
        zero = q.add(gap, gap, -1)
        if q.compare(tolerance, zero) < 0:
            help = "write how much the value may differ, as in `± 0.1%`"
            return ev.error("E038", "a tolerance cannot be negative", sides[2][0].span, help=help)
        if q.compare(gap, zero) < 0:
            gap = q.negate(gap)
        return (q.compare(gap, tolerance) <= 0) == (expr.operator == "==")
    except q.UnitError:
        return units(ev, expr, left, value if not _same_unit(left, value) else tolerance)


def ordered(operator: str, order: int) -> bool:
    return {
        "==": order == 0,
        "!=": order != 0,
        "<": order < 0,
        "<=": order <= 0,
        ">": order > 0,
        ">=": order >= 0,
    }[operator]


def contains(ev: Scope, expr: t.Binary, left: object, right: object) -> object:
    if isinstance(right, Between):
        if not all(isinstance(x, q.Numeric) for x in (left, right.low, right.high)):
            return ev.operand(expr.left, left, "a number", "in")
        try:
            return q.compare(right.low, left) <= 0 <= q.compare(right.high, left)  # type: ignore[arg-type]
        except q.UnitError:
            return units(ev, expr, left, right.high)
    if isinstance(right, tuple):
        if isinstance(expr.right, t.ListOf):
            for tree, value in zip(expr.right.items, right, strict=True):
                if ev.is_bare(tree, value):
                    wrong = not_one_of(ev, tree, expr.left, left)
                    if wrong is not None:
                        return wrong
        return _plain(left) in [_plain(item) for item in right]
    return ev.operand(expr.right, right, "a range or a list", "in")


# --------------------------------------------------------------- messages
def units(ev: Scope, expr: t.Binary, left: object, right: object) -> Poison:
    plain = next(
        (tree for tree, v in ((expr.left, left), (expr.right, right)) if isinstance(v, q.Quantity) and v.unit is None),
        None,
    )
    timed = isinstance(left, q.Time) or isinstance(right, q.Time)
    fixes: tuple[Fix, ...] = ()
    if isinstance(plain, t.Number) and timed and expr.operator not in ("*", "/"):
        unit = " epoch" if plain.value == 1 else " epochs"
        fixes = (Fix("write the unit", (Edit(Span(plain.span.end, plain.span.end), unit),), "unsafe"),)
    message, help = f"`{expr.operator}` needs the same unit on both sides", "give both sides the same unit"
    if fixes:
        help = "say which unit is meant"
    if expr.operator in ("*", "/"):
        message = f"these two units cannot be {'multiplied' if expr.operator == '*' else 'divided'}"
        help = "one side must be a plain number"
    both = sides(ev, expr, left, right)
    return ev.error("E023", message, expr.operator_span, help=help, secondary=both, fixes=fixes)


def sides(ev: Scope, expr: t.Binary, left: object, right: object) -> tuple[Label, Label]:
    """What stands on each side of an operator."""
    both = ((expr.left, left), (expr.right, right))
    first, second = (Label(ev.source, tree.span, describe(value)) for tree, value in both)
    return first, second


def _sort(value: object) -> str:
    """Values of one sort compare with `==`; symbols and patterns are both names."""
    for sort, types in _SORTS.items():
        if isinstance(value, types):
            return sort
    return type(value).__name__


_SORTS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "number": (q.Quantity, q.Time, q.Rate),
    "name": (Symbol, SparsityPattern),
    "selector": sel.NODES,
}


def _plain(value: object) -> object:
    """The name `unstructured` is the pattern of that name."""
    return Symbol("unstructured") if value == SparsityPattern("unstructured") else value


def _same_unit(a: q.Numeric, b: q.Numeric) -> bool:
    try:
        q.compare(a, b)
    except q.UnitError:
        return False
    return True
