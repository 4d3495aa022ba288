"""Advice on a plan: what is allowed, and known to cost accuracy. One rule a file; it never stops a run."""

from __future__ import annotations

from recipelang.lint import (
    embeddings,
    hardness,
    head,
    learning_rate_spent,
    no_dense_start,
    no_distillation,
    no_never,
    no_recovery,
    temperature,
)
from recipelang.plan.types import Plan
from recipelang.source import Diagnostic
from recipelang.spec.check import Recipe

RULES = (
    embeddings,
    head,
    no_never,
    no_dense_start,
    no_recovery,
    learning_rate_spent,
    no_distillation,
    temperature,
    hardness,
)


def advise(recipe: Recipe, plan: Plan) -> list[Diagnostic]:
    """Every rule's findings, in the order of the codes. A rule has a `CODE` and `check(plan)`.

    `check` yields `(path, message, help)`; the path names the attribute in the recipe that it speaks of.
    """
    found = []
    for rule in RULES:
        for path, message, help in rule.check(plan):
            found.append(Diagnostic(rule.CODE, message, recipe.label(path), help=(help,)))
    return found
