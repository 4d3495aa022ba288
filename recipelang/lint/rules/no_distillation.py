"""L020: much is pruned without a teacher."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject

CODE, NAME, LEVEL, NEEDS = "L020", "no-distillation", "warn", "recipe"
FROM = 0.8


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        if stage.mode == "one_shot":
            continue
        for prune in stage.prunes:
            final = float(prune.sparsity.segments[-1].end) if prune.sparsity else 0.0
            if final >= FROM and not stage.distills:
                yield Finding(
                    f"stage.{stage.name}.prune.{prune.name}.sparsity",
                    f"{final:.0%} without distillation",
                    "add `distill { teacher = stage.NAME, hardness = 100%, temperature = 2 }` with the dense stage",
                )
