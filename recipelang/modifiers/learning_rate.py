"""`learning_rate`: set at the start of every step."""

from __future__ import annotations

from collections.abc import Sequence

from recipelang.plan.types import Segment
from recipelang.runtime.state import Modifier, State
from recipelang.schedules.stepwise import at


class LearningRate(Modifier):
    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = segments

    def on_step_start(self, state: State) -> None:
        rate = at(self.segments, state.step)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
