"""What a plan says of a budget: its limit, and the sizes that it comes to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from recipelang.kinds.sizes import AXES
from recipelang.storage.forms import Form, Share, Some, known


class BudgetPlan(Form):
    """The budget of a `shrink` block, for one model."""

    of: Literal["parameters"]
    share: Share | None = Field(default=None, description="of what the model has, where the budget is one")
    most: Some = Field(description="parameters that the smaller model may have")
    chosen: dict[Annotated[str, known(*AXES)], Some] = Field(
        min_length=1, description="axis -> its size, of those that the budget sizes; some may stay whole"
    )
