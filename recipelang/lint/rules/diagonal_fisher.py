"""L030: oBERT that looks at every weight alone."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import attribute
from recipelang.methods import METHODS
from recipelang.source import Edit, Fix
from recipelang.spec.blocks import PruneSpec
from recipelang.syntax import tree as t

CODE, NAME, LEVEL, NEEDS = "L030", "diagonal-fisher", "warn", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        for prune in stage.prunes:
            name = METHODS[prune.method.name].neighbours
            if name and prune.method.get(name) == 1:
                path = f"stage.{stage.name}.prune.{prune.name}.method"
                literal, size = _literal(it, path, prune.method.name, name), _size(prune, name)
                yield Finding(
                    literal.span if literal else path,
                    f"with `{name} = 1` no weight makes up for another",
                    f"write `{name} = {size}`: the method's gain over magnitudes comes from interactions of neighbours",
                    # another size is another experiment
                    Fix(f"write `{name} = {size}`", (Edit(literal.span, str(size)),), "unsafe") if literal else None,
                )


def _size(prune: PruneSpec, name: str) -> int:
    """As published; of a pattern in blocks, whole rows of them."""
    width = prune.pattern.b if prune.pattern.kind == "block" else 1
    published = METHODS[prune.method.name].default().get(name)
    assert isinstance(published, int)
    return max(1, published // width) * width


def _literal(it: Subject, path: str, method_name: str, name: str) -> t.Number | None:
    """Where the method itself says so, and no parameter."""
    method = attribute(it.tree, path)
    calls = [n for n in t.nodes(method) if isinstance(n, t.Call) and n.function.text == method_name]
    given = [a.value for call in calls for a in call.arguments if a.name == name]
    return given[0] if len(given) == 1 and isinstance(given[0], t.Number) and given[0].value == 1 else None
