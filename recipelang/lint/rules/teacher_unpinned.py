"""L023: the teacher may be another one tomorrow."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import is_unpinned, written

CODE, NAME, LEVEL, NEEDS = "L023", "teacher-unpinned", "warn", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        for distill in stage.distills:
            if isinstance(distill.teacher, str) and is_unpinned(distill.teacher):
                path = f"stage.{stage.name}.distill.teacher"
                message = f"`{distill.teacher}` does not pin the teacher's version"
                help = "add the commit (`@COMMIT` at its end), or distil from a stage: `teacher = stage.NAME`"
                yield Finding(written(it.tree, path, distill.teacher) or path, message, help)
