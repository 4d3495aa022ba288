"""L095: more than a third of the parameters go at once."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject

CODE, NAME, LEVEL, NEEDS = "L095", "much-shrunk-at-once", "info", "plan"
MOST = 1 / 3


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.plan.stages:
        for shrink in stage.shrinks:
            before, after = shrink.parameters
            if (gone := 1 - after / before) > MOST:
                at = f"stage.{stage.name}.shrink.{shrink.name}"
                if shrink.step is not None:
                    yield Finding(
                        f"{at}.rounds", f"{gone:.0%} of the parameters go in one round", "write more `rounds`"
                    )
                    break
                at += ".budget" if shrink.budget else ".axes"
                help = "shrink in two stages and train in between, or in `rounds` of a training stage"
                yield Finding(at, f"{gone:.0%} of the parameters go at once", help)
