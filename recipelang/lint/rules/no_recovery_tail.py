"""L012: no training follows the last mask."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject

CODE, NAME, LEVEL, NEEDS = "L012", "no-recovery-tail", "warn", "plan"
LEAST = 0.05


def check(it: Subject) -> Iterator[Finding]:
    for i, stage in enumerate(it.plan.stages):
        later = sum(s.steps for s in it.plan.stages[i + 1 :])
        for prune in stage.scheduled if stage.steps else ():  # one shot is meant to be without
            left = stage.steps - prune.events[-1].step + later
            if left < LEAST * stage.steps:
                yield Finding(
                    f"stage.{stage.name}.prune.{prune.name}.sparsity",
                    f"{left:,} of {stage.steps:,} steps remain after the last mask",
                    "end the window earlier, as in `.. end - 2 epochs`: accuracy recovers once the mask is final",
                )
