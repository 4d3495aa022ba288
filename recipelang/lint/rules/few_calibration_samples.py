"""L080: a one-shot stage looks at few samples."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.source.words import plural

CODE, NAME, LEVEL, NEEDS = "L080", "few-calibration-samples", "warn", "plan"
ENOUGH = 128


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.plan.stages:
        read = stage.calibration
        if read is not None and read.layers and read.samples < ENOUGH:
            data = f"data.{stage.data}" if stage.data else "data"
            yield Finding(
                f"{data}.samples",
                f"`{stage.name}` is calibrated on {plural(read.samples, 'sample')}",
                f"use {ENOUGH}, as published: they estimate the inputs of every layer",
            )
