"""What a stage trains on, where that is more than the loss that the model gives itself."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from recipelang.planning.plan_form import Finite, Frozen
from recipelang.storage.forms import Share, Some


class LossPlan(Frozen):
    """Of the cross-entropy of a task, as `torch.nn.functional.cross_entropy` has it."""

    label_smoothing: Share = 0.0
    class_weights: tuple[Annotated[Finite, Field(gt=0)], ...] = Field(
        default=(), description="of each class, in the order of the head's outputs; none: all count alike"
    )
    class_counts: tuple[Some, ...] = Field(
        default=(), description="labels of each class in the training data, which `balanced` weights come from"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.label_smoothing and not self.class_weights:
            raise ValueError("a loss without `label_smoothing` and `class_weights` is the model's own")
        if self.class_counts and len(self.class_counts) != len(self.class_weights):
            raise ValueError("`class_counts` and `class_weights` are of different classes")
        return self
