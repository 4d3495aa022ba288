"""L015: the learning rate restarts between pruning events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from recipelang.lint.subject import Finding, Subject
from recipelang.planning.prune_plan import PrunePlan
from recipelang.planning.types import StagePlan

CODE, NAME, LEVEL, NEEDS = "L015", "rewind-not-aligned", "info", "plan"


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.plan.stages:
        for prune in stage.scheduled:
            astray = _astray(stage, prune)
            if astray is not None:
                yield Finding(
                    f"stage.{stage.name}.learning_rate",
                    f"the learning rate restarts at step {astray:,}, between two pruning events",
                    "set `rewind` equal to `every`: each mask then gets a whole decay to recover",
                )


def _astray(stage: StagePlan, prune: PrunePlan) -> int | None:
    """The first restart that falls well between two events. Events far denser than restarts have one near each."""
    restarts = sorted({k for segment in stage.learning_rate for k in segment.cycles if k > segment.first})
    for before, after in pairwise(e.step for e in prune.events):
        gap = after - before
        for step in restarts:
            if before < step < after and min(step - before, after - step) > max(1, gap // 20) and _few(stage, gap):
                return step
    return None


def _few(stage: StagePlan, gap: int) -> bool:
    """Whether events are so rare that it matters where between them a restart falls."""
    cycles = [b - a for segment in stage.learning_rate for a, b in pairwise(segment.cycles)]
    return bool(cycles) and 4 * gap > min(cycles)
