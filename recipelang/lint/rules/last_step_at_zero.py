"""L093: a step is spent at a learning rate of 0."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject

CODE, NAME, LEVEL, NEEDS = "L093", "last-step-at-zero", "warn", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        if stage.compat is not None:  # as that tool ran it
            continue
        rates = {"learning_rate": stage.learning_rate}
        rates |= {f"group.{g.name}.learning_rate": g.learning_rate for g in stage.groups}
        for path, rate in rates.items():
            if rate is not None and any(s.ends == "last" and not s.end for s in rate.segments):
                yield Finding(
                    f"stage.{stage.name}.{path}",
                    "with `ends = last`, one step trains at a rate of 0",
                    "remove `ends`: the rate then reaches 0 after the last step",
                )
