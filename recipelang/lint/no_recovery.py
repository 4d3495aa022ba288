"""L012: no training follows the last mask."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.plan.types import Plan

CODE = "L012"
LEAST = 0.05


def check(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for i, stage in enumerate(plan.stages):
        later = sum(s.steps for s in plan.stages[i + 1 :])
        for prune in stage.prunes:
            left = stage.steps - prune.events[-1].step + later
            if left < LEAST * stage.steps:
                yield (
                    f"stage.{stage.name}.prune.{prune.name}.sparsity",
                    f"{left:,} of {stage.steps:,} steps remain after the last mask",
                    "end the window earlier, as in `.. end - 2 epochs`: accuracy comes back at the final mask",
                )
