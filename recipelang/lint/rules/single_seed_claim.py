"""L040: a score is claimed of one seed, and no other can be tried."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import attribute, claims, names
from recipelang.source import Edit, Fix, Span
from recipelang.spec.claims import metric_names
from recipelang.spec.operators import COMPARISONS
from recipelang.syntax import tree as t

CODE, NAME, LEVEL, NEEDS = "L040", "single-seed-claim", "info", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    scores = set(metric_names(it.recipe))
    claimed = next((c for c in claims(it.tree) if any(_bounds(n, scores) for n in t.nodes(c.condition))), None)
    if claimed is None or _can_be_chosen(it):
        return
    seed = it.recipe.seed
    help = f"allow other seeds with `-p seed=7`: write `param seed: int = {seed}`, and `seed = seed`"
    yield Finding(claimed.condition.span, f"this score is claimed from one seed, {seed}", help, _fix(it, seed))


def _bounds(node: t.Node, scores: set[str]) -> bool:
    """A score against anything but nought, which every seed reaches."""
    if not isinstance(node, t.Binary) or node.operator not in (*COMPARISONS, "in"):
        return False
    sides = (node.left, node.right)
    if any(isinstance(side, t.Number) and side.value == 0 for side in sides):
        return False
    return any(isinstance(n, t.Path) and n.text in scores for side in sides for n in t.nodes(side))


def _can_be_chosen(it: Subject) -> bool:
    """Whether `seed` comes from a parameter that is still free."""
    definitions = {s.name: s for s in it.tree.statements if isinstance(s, t.Param | t.Let)}
    todo: list[object] = [attribute(it.tree, "seed")]
    seen: set[str] = set()
    while todo:
        for name in names(todo.pop()) - seen:
            seen.add(name)
            match definitions.get(name):
                case t.Param(fixed=None):
                    return True
                case t.Let(value=value):
                    todo.append(value)
    return False


def _fix(it: Subject, seed: int) -> Fix | None:
    """A parameter behind the last, or behind the model: with the same seed it is the same recipe."""
    if any(isinstance(s, t.Param | t.Let) and s.name == "seed" for s in it.tree.statements):
        return None
    params = [s for s in it.tree.statements if isinstance(s, t.Param)]
    models = [s for s in it.tree.statements if isinstance(s, t.Block) and s.kind == "model"]
    anchor = [*models, *params][-1]
    given = attribute(it.tree, "seed")
    file = it.source.file(anchor.span)
    if given is not None and it.source.file(given.span) is not file:
        return None
    line, column = file.position(anchor.span.end)
    end = anchor.span.end - (column - 1) + len(file.line(line))
    gap = "\n" if params else "\n\n"
    added = f"{gap}## Every random stream of the run comes from it.\nparam seed: int = {seed}"
    if given is None:
        edits: tuple[Edit, ...] = (Edit(Span(end, end), f"{added}\n\nseed = seed"),)
    else:
        edits = (Edit(Span(end, end), added), Edit(given.value.span, "seed"))
    return Fix("make the seed a parameter", edits, "unsafe")
