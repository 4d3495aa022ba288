"""L002: the head is pruned."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.plan.types import Plan

CODE = "L002"


def check(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for stage in plan.stages:
        for prune in stage.prunes:
            hit = [t for t in prune.targets if t.purpose == "head"]
            if hit:
                share = sum(t.size for t in hit) / plan.model.parameters
                yield (
                    f"stage.{stage.name}.prune.{prune.name}.targets",
                    f"the head is pruned ({share:.4%} of the model)",
                    "keep it dense: it is small, and everything passes through it",
                )
