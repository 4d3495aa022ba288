"""When values that change at every step are at their end, where the recipe leaves that to the stage.

`after` their window, as transformers' schedulers have it; with `compat` on its `last` step. `schedules/stepwise` says
what both mean. A sparsity changes at events, the last of which has its end exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

from recipelang.values.composite import Schedule, Term

if TYPE_CHECKING:
    from recipelang.spec.attribute import Spec
    from recipelang.spec.blocks import StageSpec

_S = TypeVar("_S", bound="Spec")
#: attributes that change at every step
_STEPWISE = ("learning_rate", "hardness", "temperature")


def settled(stage: StageSpec) -> StageSpec:
    """The stage with `ends` in every shape that goes from one value to another at every step."""
    ends: Literal["after", "last"] = "after" if stage.compat is None else "last"
    parts = {
        "groups": tuple(_block(g, ends) for g in stage.groups),
        "distills": tuple(_block(d, ends) for d in stage.distills),
    }
    return _block(stage, ends).model_copy(update=parts)


def against_compat(stage: StageSpec) -> str | None:
    """The attribute of a stage with an `ends = after`, which `compat` never read so."""
    blocks: list[tuple[str, Spec]] = [("", stage), *((f"group.{g.name}.", g) for g in stage.groups)]
    blocks += [("distill.", d) for d in stage.distills]
    for path, block in blocks:
        for name in (*_STEPWISE, "on"):
            if any(s.ends == "after" for schedule in _schedules(getattr(block, name, None)) for s in schedule.segments):
                return f"{path}{name}"
    return None


def _block(spec: _S, ends: Literal["after", "last"]) -> _S:
    update: dict[str, object] = {}
    for name in _STEPWISE:
        value = getattr(spec, name, None)
        if isinstance(value, Schedule):
            update[name] = _schedule(value, ends)
    if isinstance(terms := getattr(spec, "on", None), tuple):
        update["on"] = tuple(t if t.weight is None else replace(t, weight=_schedule(t.weight, ends)) for t in terms)
    return spec.model_copy(update=update)


def _schedule(schedule: Schedule, ends: Literal["after", "last"]) -> Schedule:
    return Schedule(
        tuple(s if s.ends or s.shape in ("constant", "step") else replace(s, ends=ends) for s in schedule.segments)
    )


def _schedules(value: object) -> Iterator[Schedule]:
    if isinstance(value, Schedule):
        yield value
    elif isinstance(value, tuple):
        yield from (t.weight for t in value if isinstance(t, Term) and t.weight is not None)
