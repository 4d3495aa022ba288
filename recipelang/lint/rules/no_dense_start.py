"""L011: weights are pruned before the model has learnt the task."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject

CODE, NAME, LEVEL, NEEDS = "L011", "no-dense-start", "warn", "plan"


def check(it: Subject) -> Iterator[Finding]:
    first = it.plan.stages[0]
    for prune in first.scheduled:
        event = prune.events[0]
        if event.step == 0 and event.sparsity > 0 and it.plan.model.fresh_head:
            yield Finding(
                f"stage.{first.name}.prune.{prune.name}.sparsity",
                f"{event.sparsity:.0%} is pruned at step 0, when the head is new",
                "start the window later (`over = start + 2 epochs .. end`), or fine-tune in an earlier stage",
            )
