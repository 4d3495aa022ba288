"""When values that change at every step are at their end, where the recipe leaves that to the stage.

`after` their window, as transformers' schedulers have it; with `compat` on its `last` step. `schedules/stepwise` says
what both mean. A sparsity changes at events, the last of which has its end exactly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeVar

from recipelang.schedules.shapes import SHAPES
from recipelang.spec.attribute import Spec
from recipelang.spec.blocks import STEPWISE, StageSpec
from recipelang.values.composite import Schedule

_S = TypeVar("_S", bound=Spec)


def settled(stage: StageSpec) -> StageSpec:
    """The stage with `ends` in every shape that goes from one value to another at every step."""
    ends: Literal["after", "last"] = "after" if stage.compat is None else "last"
    parts = {
        "groups": tuple(_block(g, ends) for g in stage.groups),
        "distills": tuple(_block(d, ends) for d in stage.distills),
    }
    return _block(stage, ends).model_copy(update=parts)


def _block(spec: _S, ends: Literal["after", "last"]) -> _S:
    update: dict[str, object] = {}
    for name in STEPWISE:
        value = getattr(spec, name, None)
        if isinstance(value, Schedule):
            update[name] = _schedule(value, ends)
    if isinstance(terms := getattr(spec, "on", None), tuple):
        update["on"] = tuple(t if t.weight is None else replace(t, weight=_schedule(t.weight, ends)) for t in terms)
    return spec.model_copy(update=update)


def _schedule(schedule: Schedule, ends: Literal["after", "last"]) -> Schedule:
    return Schedule(
        tuple(s if s.ends or not SHAPES[s.shape].moves else replace(s, ends=ends) for s in schedule.segments)
    )
