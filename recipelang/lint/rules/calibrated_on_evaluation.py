"""L081: what a one-shot stage is calibrated on is what it is measured on."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.rules.evaluated_on_train import measured, read_by, where
from recipelang.lint.subject import Finding, Subject

CODE, NAME, LEVEL, NEEDS = "L081", "calibrated-on-evaluation", "deny", "recipe"


def check(it: Subject) -> Iterator[Finding]:
    stages = [stage for stage in it.recipe.stages if stage.mode == "one_shot" and stage.reads_data]
    read = {place for stage in stages for place in read_by(it.recipe.data[stage.data])}
    for evaluation in it.recipe.evaluations:
        if measured(it, evaluation) in read:
            help = "evaluate on text that no stage has seen: pruning was calibrated on this text"
            yield Finding(*where(it, evaluation, "calibrated on"), help)
