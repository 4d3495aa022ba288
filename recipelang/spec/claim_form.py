"""A claim as JSON data: the other half of the canonical form. `kinds/from_form` reads it back."""

from __future__ import annotations

from recipelang.kinds.form import value_form
from recipelang.kinds.tensors import Pattern, as_selector
from recipelang.spec.effective import ClaimParts
from recipelang.spec.figures import is_figure
from recipelang.spec.operators import COMPARISONS
from recipelang.syntax import tree as t
from recipelang.values import selector as sel
from recipelang.values.selector import joined


def claim_form(parts: ClaimParts, node: t.Expr) -> object:
    """What is measured by name, everything else by value; comparisons keep their sides."""
    node = parts.reached(node)
    settled = parts.settled(node)
    if settled is not None:
        return settled
    match node:
        case t.Binary(operator="and" | "or") as n:
            sides = [n.left, n.right]
            while isinstance(inner := sides[0], t.Binary) and inner.operator == n.operator:
                sides[:1] = [inner.left, inner.right]
            return joined(n.operator, [claim_form(parts, side) for side in sides])
        case t.Unary(operator="not"):
            return {"not": claim_form(parts, node.operand)}
        case t.Binary(operator="+" | "-" | "*" | "/") if not parts.known(node):
            return _chain(parts, node)
        case t.Binary() if node.operator in (*COMPARISONS, "in") or not parts.known(node):
            return {node.operator: [claim_form(parts, node.left), claim_form(parts, node.right)]}
        case t.If() if parts.constant(node.condition):
            return claim_form(parts, parts.branch(node))
        case t.If():
            return {"if": [claim_form(parts, n) for n in (node.condition, node.then, node.other)]}
        case t.Call() if node.function.text == "layers":
            return sel.canonical(as_selector(parts.evaluator.value(node)))
        case t.Call() if node.function.text == "block":
            return value_form(Pattern().read(parts.evaluator.value(node)))
        case t.Call() if is_figure(node):
            return parts.figure(node).form
        case t.Call():
            (argument,) = node.arguments
            return {"measured": node.function.text, "of": sel.canonical(parts.selector(argument))}
        case t.ListOf():
            return [claim_form(parts, item) for item in node.items]
        case t.Unary() if not parts.known(node):
            return {node.operator: claim_form(parts, node.operand)}
        case t.Path() if len(node.names) > 1:
            return {"measured": node.text}
    return _leaf(parts.evaluator.value(node))


def _chain(parts: ClaimParts, node: t.Expr) -> object:
    """`a - b + c` as one sum, `a / b * c` as one product: what is taken away or divided by says so itself."""
    assert isinstance(node, t.Binary)
    sign, inverse = ("+", "-") if node.operator in ("+", "-") else ("*", "/")
    terms: list[object] = []
    while isinstance(node, t.Binary) and node.operator in (sign, inverse) and not parts.known(node):
        term = claim_form(parts, node.right)
        terms.append({inverse: term} if node.operator == inverse else term)
        node = node.left
    first = claim_form(parts, node)
    front = first[sign] if isinstance(first, dict) and sign in first else [first]  # the branch that an `if` takes
    return {sign: [*front, *reversed(terms)]}


def _leaf(value: object) -> object:
    """A string that is compared with what is measured: never equal to it, and not to be taken for a number."""
    if isinstance(value, tuple):
        return [_leaf(item) for item in value]
    return {"text": value} if isinstance(value, str) else value_form(value)
