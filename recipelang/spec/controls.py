"""How parameters are trained, apart from the schedules: `freeze`, `group` and `drop`."""

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

#: what a `drop` block may be named -> the stack whose layers it drops
DROPS = {"layers": "", "encoder_layers": "encoder", "decoder_layers": "decoder"}


class FreezeSpec(Spec):
    """Parameters that are not trained: no gradient, no weight decay. Masks on them stay in force."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[sel.Selector, Attr(Selector(), "the parameters to freeze", example="@embeddings")]
    until: Annotated[
        Time | None,
        Attr(
            Stretch(),
            "time from the start of the stage after which they are trained; default: never",
            example="1 epoch",
        ),
    ] = None


class GroupSpec(Spec):
    """Parameters with their own learning rate or weight decay; the others use those of the stage."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[sel.Selector, Attr(Selector(), "the parameters of the group", example="@bias | @norm")]
    learning_rate: Annotated[
        Schedule | None,
        Attr(
            ScheduleOf(Number(0)),
            "learning rate; must cover the whole stage; default: that of the stage",
            example="linear(8e-4 -> 0, over = start..end)",
        ),
    ] = None
    weight_decay: Annotated[
        Fraction | None,
        Attr(
            Number(0),
            "decoupled weight decay of the whole group, including norms and biases; default: that of the optimizer",
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
    """Layers to remove before training. The remaining layers are renumbered from 0. The block is named `layers`; where
    an encoder and its decoder have layers of their own, `encoder_layers` or `decoder_layers`."""

    LABELS = (1, 1)
    name: str
    keep: Annotated[
        tuple[int, ...], Attr(LayerNumbers(), "the layers to keep, in order", example="[1, 3, 5, 7, 9, 11]")
    ]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.name not in DROPS:
            raise conflict("", "only layers can be dropped", "write `drop layers { keep = [...] }`")
        return self
