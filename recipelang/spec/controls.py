"""What decides, beside the schedules, how parameters are trained: `freeze`, `group` and `drop`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any

from recipelang.schedules.kinds import schedule
from recipelang.spec.attribute import Attr, Conflict, Spec
from recipelang.spec.selector_kind import selector
from recipelang.values import kinds as k
from recipelang.values.composite import Between, Schedule
from recipelang.values.kinds import Kind, Mismatch, wrong
from recipelang.values.quantities import Quantity

#: no model has more; keeps a range from becoming a long list
_MOST = 10_000
_WRITTEN = "write the layers that stay, counted from 0: `[1, 3, 5, 7, 9, 11]` are six of twelve"


def layers() -> Kind:
    """Numbers of layers in rising order; a range stands for the layers in it."""

    def convert(value: object) -> object:
        if not isinstance(value, tuple | Between):
            raise wrong(value, "a list of layers", _WRITTEN)
        found: list[int] = []
        for item in value if isinstance(value, tuple) else (value,):
            ends = (item.low, item.high) if isinstance(item, Between) else (item, item)
            first, last = map(_layer, ends)
            if last < first or (found and first <= found[-1]):
                raise Mismatch(
                    "E024", "layers are not in their order", "they stay as they are: write each once, rising"
                )
            found += range(first, last + 1)
        if not found:
            raise Mismatch("E024", "no layer would be left", _WRITTEN)
        return tuple(found)

    doc = "numbers of layers, counted from 0, in brackets; a range stands for those in it: `[0..2, 9..11]`"
    json = {"type": "array", "items": {"$ref": "#/$defs/int"}, "minItems": 1}
    return Kind("list<int>", convert, doc=doc, json=json)


def _layer(value: object) -> int:
    if not isinstance(value, Quantity) or value.unit is not None or value.percent or value.value.denominator != 1:
        raise wrong(value, "the number of a layer", _WRITTEN)
    if not 0 <= value.value < _MOST:
        raise Mismatch("E038", f"there is no layer {value.value}", "layers count from 0")
    return int(value.value)


class FreezeSpec(Spec):
    """Parameters that are not trained: no gradient, no weight decay. A mask on them stays in force."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[Any, Attr(selector(), "the parameters that stay as they are", example="@embeddings")]
    until: Annotated[
        Any, Attr(k.span(), "trained from here on, counted from the stage's start; unset: never", example="1 epoch")
    ] = None


class GroupSpec(Spec):
    """Parameters with a learning rate or a weight decay of their own; the others have the stage's."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[Any, Attr(selector(), "the parameters of the group", example="@bias | @norm")]
    learning_rate: Annotated[
        Schedule | None,
        Attr(
            schedule(k.number(0)),
            "must cover the whole stage; unset: the stage's",
            example="linear(8e-4 -> 0, over = start..end)",
        ),
    ] = None
    weight_decay: Annotated[
        Fraction | None,
        Attr(
            k.number(0),
            "decoupled weight decay of the whole group, norms and biases too; unset: the optimizer's",
            example="0",
        ),
    ] = None

    @classmethod
    def conflict(cls, values: Mapping[str, object]) -> Conflict | None:
        if values.get("learning_rate") is None and values.get("weight_decay") is None:
            return Conflict("targets", "this group sets nothing", "add `learning_rate = ...` or `weight_decay = ...`")
        return None


class DropSpec(Spec):
    """Layers that the model loses before it is trained. Those that stay are numbered anew, from 0."""

    LABELS = (1, 1)
    name: str
    keep: Annotated[tuple[int, ...], Attr(layers(), "the layers that stay, in order", example="[1, 3, 5, 7, 9, 11]")]

    @classmethod
    def conflict(cls, values: Mapping[str, object]) -> Conflict | None:
        if values["name"] != "layers":
            return Conflict("", "only layers can be dropped", "write `drop layers { keep = [...] }`")
        return None
