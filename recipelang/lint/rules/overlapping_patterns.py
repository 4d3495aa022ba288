"""L060: two alternatives of a selector mean the same tensors."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from recipelang.lint.subject import Finding, Subject
from recipelang.planning.match import leaves, match
from recipelang.source.words import plural
from recipelang.values import selector as sel

CODE, NAME, LEVEL, NEEDS = "L060", "overlapping-patterns", "warn", "plan"


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        for prune in stage.prunes:
            for name in ("targets", "never"):
                path = f"stage.{stage.name}.prune.{prune.name}.{name}"
                for left, right in _pairs(getattr(prune, name)):
                    first, second = set(match(left, it.facts)), set(match(right, it.facts))
                    if first & second:
                        yield Finding(right.span or path, *_said(left, right, first, second))


def _pairs(selector: sel.Selector | None) -> Iterator[tuple[sel.Selector, sel.Selector]]:
    """The alternatives of every `|`, two by two, where at least one is written as a name."""
    match selector:
        case sel.Or(items):
            for left, right in combinations(items, 2):
                if any(isinstance(leaf, sel.Glob | sel.Regex) for leaf in (*leaves(left), *leaves(right))):
                    yield left, right
            for item in items:
                yield from _pairs(item)
        case sel.And(items):
            for item in items:
                yield from _pairs(item)
        case sel.Not(item):
            yield from _pairs(item)
        case sel.Except(left, right):
            yield from _pairs(left)
            yield from _pairs(right)


def _said(left: sel.Selector, right: sel.Selector, first: set[str], second: set[str]) -> tuple[str, str]:
    one, two = f"`{sel.text(left)}`", f"`{sel.text(right)}`"
    both = len(first & second)
    message = f"{one} and {two} share {plural(both, 'tensor')}"
    if second <= first:
        return message, f"remove {two}: {one} includes all of it"
    if first < second:
        return message, f"remove {one}: {two} includes all of it"
    return message, "narrow one of them: one may match more than intended"
