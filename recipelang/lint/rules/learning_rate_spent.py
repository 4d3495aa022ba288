"""L014: the learning rate is used up when the last mask comes."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.planning.types import StagePlan
from recipelang.schedules.stepwise import at

CODE, NAME, LEVEL, NEEDS = "L014", "learning-rate-spent", "warn", "plan"
LEAST = 0.1


def check(it: Subject) -> Iterator[Finding]:
    stages = it.plan.stages
    for i, stage in enumerate(stages):
        for prune in stage.scheduled:
            last = prune.events[-1].step
            if len(prune.events) < 2 or last >= stage.steps or stages[i + 1 :]:
                continue  # pruned once, told by L012, or a later stage has its own rate
            peak, best = _peak(stage, 0), _peak(stage, last)
            if best < LEAST * peak:
                yield Finding(
                    f"stage.{stage.name}.learning_rate",
                    f"after the last mask, at most {best / peak:.0%} of the peak rate remains",
                    "restart it with `rewind = 2 epochs`, or decay it less",
                )


def _peak(stage: StagePlan, first: int) -> float:
    """The largest rate from a step on: of the ends and restarts of every segment, for shapes are monotonous."""
    steps = {first, stage.steps - 1}
    for segment in stage.learning_rate:
        steps |= {segment.first, segment.last, *segment.cycles}
    return max(at(stage.learning_rate, k) for k in steps if first <= k < stage.steps)
