"""What decides, beside the schedules, how parameters are trained: `freeze`, `group` and `drop`."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Self

from pydantic import model_validator

from recipelang.kinds.measures import Stretch
from recipelang.kinds.plain import Number
from recipelang.kinds.schedule import ScheduleOf
from recipelang.kinds.tensors import LayerNumbers, Selector
from recipelang.spec.attribute import Attr, Spec, conflict
from recipelang.values import selector as sel
from recipelang.values.composite import Schedule
from recipelang.values.quantities import Time


class FreezeSpec(Spec):
    """Parameters that are not trained: no gradient, no weight decay. A mask on them stays in force."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[sel.Selector, Attr(Selector(), "the parameters that stay as they are", example="@embeddings")]
    until: Annotated[
        Time | None,
        Attr(Stretch(), "trained from here on, counted from the stage's start; unset: never", example="1 epoch"),
    ] = None


class GroupSpec(Spec):
    """Parameters with a learning rate or a weight decay of their own; the others have the stage's."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[sel.Selector, Attr(Selector(), "the parameters of the group", example="@bias | @norm")]
    learning_rate: Annotated[
        Schedule | None,
        Attr(
            ScheduleOf(Number(0)),
            "must cover the whole stage; unset: the stage's",
            example="linear(8e-4 -> 0, over = start..end)",
        ),
    ] = None
    weight_decay: Annotated[
        Fraction | None,
        Attr(
            Number(0),
            "decoupled weight decay of the whole group, norms and biases too; unset: the optimizer's",
            example="0",
        ),
    ] = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.learning_rate is None and self.weight_decay is None:
            help = "add `learning_rate = ...` or `weight_decay = ...`"
            raise conflict("targets", "this group sets nothing", help)
        return self


class DropSpec(Spec):
    """Layers that the model loses before it is trained. Those that stay are numbered anew, from 0."""

    LABELS = (1, 1)
    name: str
    keep: Annotated[
        tuple[int, ...], Attr(LayerNumbers(), "the layers that stay, in order", example="[1, 3, 5, 7, 9, 11]")
    ]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.name != "layers":
            raise conflict("", "only layers can be dropped", "write `drop layers { keep = [...] }`")
        return self
