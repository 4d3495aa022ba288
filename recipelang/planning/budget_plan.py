"""What a plan says of a budget: its limit, and the sizes that it comes to."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recipelang.kinds.formats import RUNTIMES
from recipelang.kinds.sizes import AXES
from recipelang.storage.forms import Digest, Form, Share, Some, known

Factor = Annotated[float, Field(ge=1, allow_inf_nan=False)]


class PredictedPlan(Form):
    """A speedup that was asked for, and the one that a table of measured latencies predicts."""

    asked: Factor
    predicted: Factor
    runtime: Annotated[str, known(*RUNTIMES)]
    machine: str = Field(description="the processor on which the table was measured")
    table: str = Field(description="path of the table")
    digest: Digest = Field(description="of its contents")

    @model_validator(mode="after")
    def _meets(self) -> Self:
        if self.predicted < self.asked:
            raise ValueError("`predicted` is below `asked`")
        return self


class BudgetPlan(Form):
    """The budget of a `shrink` block, for one model."""

    of: Literal["parameters", "speedup"]
    share: Share | None = Field(default=None, description="of what the model has, where the budget is one")
    most: Some | None = Field(default=None, description="parameters that the smaller model may have")
    speed: PredictedPlan | None = None
    chosen: dict[Annotated[str, known(*AXES)], Some] = Field(
        min_length=1, description="axis -> its size, of those that the budget sizes; some may stay whole"
    )

    @model_validator(mode="after")
    def _of_one(self) -> Self:
        if (self.most is None) == (self.of == "parameters") or (self.speed is None) == (self.of == "speedup"):
            raise ValueError("`of` needs `most` for parameters, `speed` for a speedup, and not the other")
        return self
