"""L094: a model that was shrunk is not trained again, or not with a teacher."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.planning.sliced import by_block

CODE, NAME, LEVEL, NEEDS = "L094", "shrunk-without-recovery", "warn", "plan"
FROM = 0.1


def check(it: Subject) -> Iterator[Finding]:
    for i, stage in enumerate(it.plan.stages):
        later = [s for s in it.plan.stages[i:] if s.mode == "train"]  # rounds are trained in their own stage
        for rounds in by_block(stage):
            before, after = rounds[0].parameters[0], rounds[-1].parameters[1]
            gone = 1 - after / before
            at = f"stage.{stage.name}.shrink.{rounds[0].name}"
            if not later:
                help = "add a stage that trains what is left, with the model before it as the teacher"
                yield Finding(at, f"{gone:.0%} of the parameters go, and no stage trains the rest", help)
            elif gone > FROM and not any(s.distills for s in later):
                help = "add `distill { teacher = stage.NAME ... }` to a later stage, with the stage before this one"
                yield Finding(at, f"{gone:.0%} of the parameters go, and no later stage has a teacher", help)
