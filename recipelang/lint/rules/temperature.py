"""L021: the temperature of distillation was left at 1."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import compares_distributions

CODE, NAME, LEVEL, NEEDS = "L021", "untuned-temperature", "warn", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        for distill in stage.distills:
            soft = compares_distributions(it.recipe.model.task, distill)
            if soft and all(s.start == s.end == 1 for s in distill.temperature.segments):
                yield Finding(
                    f"stage.{stage.name}.distill.temperature",
                    "a temperature of 1 does not soften the distributions",
                    "try 2 and 5.5: both are published for this kind of model",
                )
