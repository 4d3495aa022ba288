"""L041: what is pruned is not checked."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import claims
from recipelang.syntax import tree as t
from recipelang.values.quantities import show_fraction
from recipelang.values.selector import text

CODE, NAME, LEVEL, NEEDS = "L041", "no-sparsity-claim", "info", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    calls = [n.function.text for c in claims(it.tree) for n in t.nodes(c.condition) if isinstance(n, t.Call)]
    pruned = [(stage.name, p, p.sparsity) for stage in it.recipe.stages for p in stage.prunes if p.sparsity]
    if not pruned or "sparsity" in calls:
        return
    stage, prune, sparsity = pruned[-1]
    final = show_fraction(sparsity.segments[-1].end * 100)
    yield Finding(
        f"stage.{stage}.prune.{prune.name}",
        "no claim checks the sparsity",
        f"add `expect sparsity({text(prune.targets)}) == {final}% ± 0.1%`",
    )
