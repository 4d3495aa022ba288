"""L025: there is a temperature, and no distribution."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import compares_distributions

CODE, NAME, LEVEL, NEEDS = "L025", "temperature-without-effect", "warn", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        for distill in stage.distills:
            soft = compares_distributions(it.recipe.model.task, distill)
            if not soft and any(not s.start == s.end == 1 for s in distill.temperature.segments):
                yield Finding(
                    f"stage.{stage.name}.distill.temperature",
                    "the temperature has no effect",
                    "write `temperature = 1`: no term of `on` compares the softmax of outputs",
                )
