"""What a plan says of an `adapter` block."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recipelang.planning.plan_form import Finite, Frozen
from recipelang.planning.prune_plan import Target
from recipelang.storage.forms import Count, Some


class AdapterPlan(Frozen):
    """Matrices A [rank, columns] and B [rows, rank] beside each target."""

    name: str
    method: Literal["lora"] = "lora"
    rank: Some
    alpha: Annotated[Finite, Field(gt=0)]
    targets: tuple[Target, ...] = Field(min_length=1)
    also: tuple[str, ...] = Field(default=(), description="parameters that are trained beside the adapters")
    trained: Count = Field(description="weights of all A and B")

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if any(len(t.shape) != 2 or self.rank > min(t.shape) for t in self.targets):
            raise ValueError("`rank` is larger than a target, or a target is no matrix")
        if self.trained != sum(self.rank * sum(t.shape) for t in self.targets):
            raise ValueError("`trained` is not the weights of its adapters")
        return self
