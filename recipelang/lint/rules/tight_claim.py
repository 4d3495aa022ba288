"""L043: a claim that another seed would break."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import claims, is_measured, names
from recipelang.syntax import tree as t
from recipelang.values.composite import Between, Tolerance
from recipelang.values.quantities import Quantity

CODE, NAME, LEVEL, NEEDS = "L043", "tight-claim", "info", "recipe"
#: smallest published standard deviation over three seeds (BERT-base, SQuAD, 80 to 97 %)
KNOWN = {"f1": Fraction("0.0011"), "exact_match": Fraction("0.0003")}


def check(it: Subject) -> Iterator[Finding]:
    for claim in claims(it.tree):
        for node in t.nodes(claim.condition):
            if not isinstance(node, t.Binary) or node.operator not in ("==", "in") or not _is_metric(node.left):
                continue
            known, width = KNOWN[node.left.names[-1]], _half_width(it, node.right)  # type: ignore[union-attr]
            if width is not None and 0 <= width < known:
                yield Finding(
                    node.right.span,
                    f"± {float(width):.2%} is narrower than the spread over seeds",
                    f"widen it: the smallest published deviation is {float(known):.2%}, most are larger",
                )


def _is_metric(node: t.Expr) -> bool:
    return isinstance(node, t.Path) and is_measured(node) and node.names[-1] in KNOWN


def _half_width(it: Subject, node: t.Expr) -> Fraction | None:
    """How far a two-sided claim reaches, where that is known before a run."""
    if names(node) - set(it.recipe.evaluator.definitions):
        return None
    match it.recipe.evaluator.value(node):
        case Tolerance(tolerance=Quantity(unit=None) as tolerance):
            return tolerance.value
        case Between(low=Quantity(unit=None) as low, high=Quantity(unit=None) as high):
            return (high.value - low.value) / 2
    return None
