"""L011: weights are pruned before the model has learnt the task."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.plan.types import Plan

CODE = "L011"


def check(plan: Plan) -> Iterator[tuple[str, str, str]]:
    first = plan.stages[0]
    for prune in first.prunes:
        event = prune.events[0]
        if event.step == 0 and event.sparsity > 0 and plan.model.fresh_head:
            yield (
                f"stage.{first.name}.prune.{prune.name}.sparsity",
                f"{event.sparsity:.0%} is pruned at step 0, with a new head",
                "begin the window later (`over = start + 2 epochs .. end`), or fine-tune in a stage before",
            )
