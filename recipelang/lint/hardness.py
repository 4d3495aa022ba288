"""L022: the teacher counts less than the labels."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.plan.types import Plan

CODE = "L022"
LEAST = 0.5


def check(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for stage in plan.stages:
        for distill in stage.distills:
            most = max(max(s.start, s.end) for s in distill.hardness)
            if most < LEAST:
                yield (
                    f"stage.{stage.name}.distill.hardness",
                    f"the teacher has {most:.0%} of the loss",
                    "published recipes for pruned BERT models use 100%",
                )
