"""L017: weights are pruned, and those beside them are never trained again."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.planning.controls import frozen

CODE, NAME, LEVEL, NEEDS = "L017", "pruned-while-frozen", "warn", "plan"


def check(it: Subject) -> Iterator[Finding]:
    stages = it.plan.stages
    for i, stage in enumerate(stages):
        still = [_still(s.steps, frozen(s.freezes, s.steps)) for s in stages[i:]]
        for prune in stage.scheduled:
            stuck = [t.name for t in prune.targets if all(t.name in names for names in still)]
            if stuck:
                many = f"{len(stuck)} of its {len(prune.targets)} targets"
                yield Finding(
                    f"stage.{stage.name}.prune.{prune.name}.targets",
                    f"{many} are frozen and never trained again",
                    "freeze other parameters, or freeze these `until` an earlier step",
                )


def _still(steps: int, held: dict[str, int]) -> set[str]:
    """What is frozen in the whole of a stage."""
    return {name for name, until in held.items() if until >= steps}
