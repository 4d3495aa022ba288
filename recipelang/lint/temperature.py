"""L021: the temperature of distillation was left at 1."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.plan.types import Plan

CODE = "L021"


def check(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for stage in plan.stages:
        for distill in stage.distills:
            if all(s.start == s.end == 1 for s in distill.temperature):
                yield (
                    f"stage.{stage.name}.distill.temperature",
                    "a temperature of 1 is no tuning",
                    "try 2 and 5.5: both are published for this kind of model",
                )
