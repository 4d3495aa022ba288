"""L004: less is protected than a base protects."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.kinds.base import Mismatch
from recipelang.kinds.tensors import as_selector
from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import attribute
from recipelang.source import Diagnostics, Span
from recipelang.syntax import tree as t
from recipelang.values import selector as sel
from recipelang.values.composite import Poison

CODE, NAME, LEVEL, NEEDS = "L004", "narrowed-never", "warn", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    blocks = dict(it.recipe.blocks())
    for path in blocks:
        found = attribute(it.tree, f"{path}.never")
        if found is None:
            continue
        taken = list(_taken(found.value))
        if taken:
            yield _finding(taken[-1].span, "`never -=` removes what the base protects")
        elif (older := _lost(it, f"{path}.never", found)) is not None:
            yield _finding(found.value.span, "this `never` omits what the base protects", (older,))
    for path, statements in it.replaced.items():
        block, _, name = path.rpartition(".")
        if name == "never" and block in blocks and attribute(it.tree, path) is None:
            yield _finding(block, "`unset` removes the base's `never`", (statements[-1].span,))


def _finding(at: str | Span, message: str, also: tuple[Span, ...] = ()) -> Finding:
    help = "keep it, or give the reason above this line: `# recipe: allow(L004) WHY`"
    return Finding(at, message, help, also=also)


def _taken(value: t.Expr) -> Iterator[t.Expr]:
    """What `-=` takes out, the base's own first."""
    if isinstance(value, t.Edited):
        yield from _taken(value.inherited)
        if value.operator == "-=":
            yield value.change


def _lost(it: Subject, path: str, found: t.Attribute) -> Span | None:
    """The base's `never` where the new one does not hold every part of it."""
    for older in it.replaced.get(path, ()):
        if isinstance(older, t.Attribute) and not isinstance(found.value, t.Edited):
            parts, kept = _parts(it, older.value), _parts(it, found.value)
            if parts - kept:
                return older.span
    return None


def _parts(it: Subject, expr: t.Expr) -> set[str]:
    quiet = it.recipe.evaluator.apart(Diagnostics())
    value = quiet.value(expr)
    if isinstance(value, Poison) or value is None:
        return set()
    try:
        selector = as_selector(value)
    except Mismatch:
        return set()
    return {sel.text(s) for s in (selector.items if isinstance(selector, sel.Or) else (selector,))}
