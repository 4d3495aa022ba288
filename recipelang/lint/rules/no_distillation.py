"""L020: much is pruned without a teacher."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.tasks import task_of

CODE, NAME, LEVEL, NEEDS = "L020", "no-distillation", "warn", "recipe"
FROM = 0.8


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        if stage.mode == "one_shot":
            continue
        for prune in stage.prunes:
            final = float(prune.sparsity.segments[-1].end) if prune.sparsity else 0.0
            if final >= FROM and not stage.distills:
                temperature = 2 if task_of(it.recipe.model.task).softmax else 1
                yield Finding(
                    f"stage.{stage.name}.prune.{prune.name}.sparsity",
                    f"{final:.0%} without distillation",
                    f"add `distill {{ teacher = stage.NAME, hardness = 100%, temperature = {temperature} }}` with the dense stage",
                )
