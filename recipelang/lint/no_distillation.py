"""L020: much is pruned without a teacher."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.plan.types import Plan

CODE = "L020"
FROM = 0.8


def check(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for stage in plan.stages:
        for prune in stage.prunes:
            final = prune.events[-1].sparsity
            if final >= FROM and not stage.distills:
                yield (
                    f"stage.{stage.name}.prune.{prune.name}.sparsity",
                    f"{final:.0%} without distillation",
                    "add `distill { teacher = stage.NAME, hardness = 100%, temperature = 2 }` with the dense stage",
                )
