"""`learning_rate`: set at the start of every step, in every group of the optimizer."""

from __future__ import annotations

from collections.abc import Sequence

from recipelang.modifiers.modifier import Modifier, State
from recipelang.planning.types import Segment
from recipelang.schedules.stepwise import at


class LearningRate(Modifier):
    """`own` are the schedules of the plan's groups; none, and a group that is not of the plan, is the stage's."""

    def __init__(self, segments: Sequence[Segment], own: Sequence[Sequence[Segment] | None] = ()) -> None:
        self.segments = segments
        self.own = own

    def on_step_start(self, state: State) -> None:
        rate = at(self.segments, state.step)
        for group in state.optimizer.param_groups:
            own = self.own[group["group"]] if "group" in group else None
            group["lr"] = rate if own is None else at(own, state.step)
