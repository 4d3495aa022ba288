"""What a stage decides by while it trains, as a plan has it."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from recipelang.planning.plan_form import Finite, Frozen
from recipelang.spec.metrics import MEASURES
from recipelang.storage.forms import Some, known


class WatchPlan(Frozen):
    """A metric that is measured inside a stage, and counts since its masks are final."""

    evaluation: str = Field(min_length=1)
    metric: Annotated[str, known(*MEASURES)]
    since: Some = Field(description="steps after which a measurement counts for the first time")
    every: Some = Field(description="steps between measurements")

    @property
    def path(self) -> str:
        return f"{self.evaluation}.{self.metric}"

    @property
    def falls(self) -> bool:
        """Whether the smaller of two values is the better one."""
        return MEASURES[self.metric].falls

    def counted(self, steps: int) -> range:
        """Steps before the last one after which a measurement counts."""
        first = -(-self.since // self.every) * self.every
        return range(first, steps, self.every)

    def better(self, value: float, than: float | None) -> bool:
        """A value that is no number is never better."""
        if than is None:
            return not math.isnan(value)
        return value < than if self.falls else value > than


class StopPlan(WatchPlan):
    """A stage ends when so many measurements in a row were no better than the best one before, by more than `min_delta`."""

    patience: Some
    min_delta: Annotated[Finite, Field(ge=0)] = 0.0

    def improves(self, value: float, than: float | None) -> bool:
        if than is None:
            return not math.isnan(value)
        return value < than - self.min_delta if self.falls else value > than + self.min_delta

    def earliest(self, steps: int) -> int | None:
        """The first step after which the stage may end, if there is one before its last."""
        counted = self.counted(steps)
        return counted[self.patience] if self.patience < len(counted) else None
