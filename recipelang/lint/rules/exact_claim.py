"""L042: `==` on a measured value, without a tolerance."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import claims, is_measured
from recipelang.source import Edit, Fix, Span
from recipelang.syntax import tree as t

CODE, NAME, LEVEL, NEEDS = "L042", "exact-claim", "info", "tree"


def check(it: Subject) -> Iterator[Finding]:
    for claim in claims(it.tree):
        for node in t.nodes(claim.condition):
            if isinstance(node, t.Binary) and node.operator == "==" and _is_exact(node):
                sparsity = isinstance(node.left, t.Call)
                help = "add `± 0.1%`: counts of zeros are whole numbers" if sparsity else _METRIC
                end = Span(node.right.span.end, node.right.span.end)
                fix = Fix("allow a tenth of a percent", (Edit(end, " ± 0.1%"),)) if sparsity else None
                yield Finding(node.span, "exact equality holds only by chance", help, fix)


_METRIC = "write a tolerance, as in `== 85% ± 0.5%`, or a bound: `>= 84.5%`"


def _is_exact(node: t.Binary) -> bool:
    """A share or a metric on the left, a value without `±` on the right. None or all of something can be exact."""
    if isinstance(node.left, t.Call) and node.left.function.text != "sparsity":
        return False
    if not is_measured(node.left) or isinstance(node.right, t.If) or is_measured(node.right):
        return False
    whole = isinstance(node.right, t.Number) and node.right.value in (0, 1)
    return not whole and not (isinstance(node.right, t.Binary) and node.right.operator == "±")
