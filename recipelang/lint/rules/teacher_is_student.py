"""L024: the teacher is what the student already is."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.values.composite import StageRef

CODE, NAME, LEVEL, NEEDS = "L024", "teacher-is-student", "warn", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    start: object = it.recipe.model.base  # the weights that a stage begins with
    for stage in it.recipe.stages:
        for distill in stage.distills:
            if distill.teacher == start and not stage.prunes and not stage.shrinks:
                yield Finding(
                    f"stage.{stage.name}.distill.teacher",
                    "this stage starts as its own teacher and prunes nothing",
                    "name a better model, or the dense stage before the pruned one",
                )
        start = StageRef(stage.name)
