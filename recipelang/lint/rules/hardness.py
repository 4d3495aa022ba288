"""L022: the teacher counts less than the labels."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject

CODE, NAME, LEVEL, NEEDS = "L022", "low-hardness", "warn", "recipe"
LEAST = 0.5


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        for distill in stage.distills:
            most = float(max(max(s.start, s.end) for s in distill.hardness.segments))
            if most < LEAST:
                yield Finding(
                    f"stage.{stage.name}.distill.hardness",
                    f"the teacher's share of the loss is only {most:.0%}",
                    "published recipes for pruned BERT models use 100%",
                )
