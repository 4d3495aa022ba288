"""What acts in a stage, in the order of the plan: the same in a run and in somebody else's loop."""

from __future__ import annotations

from collections.abc import Sequence

from recipelang.engine.seeds import stream
from recipelang.modifiers.learning_rate import LearningRate
from recipelang.modifiers.prune import KeepZeros, pruner
from recipelang.plan.types import StagePlan
from recipelang.runtime.state import Modifier


def acting(stage: StagePlan, distills: Sequence[Modifier], *, learning_rate: bool = True) -> list[Modifier]:
    prunes = [pruner(p, stream(stage.seed, stage.name, p.name, "sample")) for p in stage.prunes]
    rates = [LearningRate(stage.learning_rate)] if learning_rate else []
    return [*prunes, *rates, *distills, KeepZeros()]
