"""`freeze` and `group` of a stage for one model: which parameters, how many, until which step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recipelang.methods import METHODS
from recipelang.planning.facts import ModelFacts
from recipelang.planning.families import TensorFact
from recipelang.planning.prune_plan import PrunePlan
from recipelang.planning.types import FreezePlan, GroupPlan, Segment
from recipelang.source import Diagnostic, Label, RecipeError, fail
from recipelang.values.composite import Chosen


def plan_freeze(name: str, targets: tuple[str, ...], until: int | None, steps: int, facts: ModelFacts) -> FreezePlan:
    """`until` is a step, or none for the whole stage. E062 after its end, E063 when this freeze covers no steps."""
    if until is not None and until > steps:
        help = f"the stage has {steps:,} steps; remove `until` to freeze in all of them"
        raise fail("E062", f"step {until:,} is after the stage's end", help=help)
    if until is not None and until < 1:
        raise fail("E063", "this freeze covers no steps", help="set a later `until`, or remove the block")
    chosen = set(targets)
    weights = sum(t.size for t in facts.tensors if t.name in chosen)
    return FreezePlan(name=name, targets=targets, weights=weights, until=None if until == steps else until)


def frozen(freezes: Sequence[FreezePlan], steps: int) -> dict[str, int]:
    """Parameter -> the step from which it is trained; of several blocks the last one counts."""
    found: dict[str, int] = {}
    for freeze in freezes:
        until = steps if freeze.until is None else freeze.until
        found |= {name: max(until, found.get(name, 0)) for name in freeze.targets}
    return found


def never_ranked(prune: PrunePlan, held: Mapping[str, int]) -> str | None:
    """A target that is frozen when its gradients are asked for, if any."""
    method = METHODS[prune.method]
    if method.looks_at not in ("steps", "gradients"):
        return None
    looks = (e for e in prune.events if (any(e.grown) if method.swaps else e.sparsity > 0))
    first = next((e.step for e in looks), None)
    if first is None:
        return None
    trained_by = first - (method.looks_at == "steps")  # a step before the event, so that there is a gradient to see
    return next((t.name for t in prune.targets if held.get(t.name, -1) > trained_by), None)


@dataclass(frozen=True)
class Asked:
    """A `group` block for this model; what is none is left to the stage. `label` is where its targets are written."""

    name: str
    targets: tuple[str, ...]
    learning_rate: tuple[Segment, ...] | None
    weight_decay: float | None
    label: Label | None


def plan_groups(blocks: Sequence[Asked], facts: ModelFacts) -> tuple[GroupPlan, ...]:
    """Groups as the optimizer has them: parameters that are in the same blocks, in the model's order.

    A parameter may be in two blocks when they set different things; E054 when they set the same.
    """
    members: dict[tuple[str, ...], list[TensorFact]] = {}
    for tensor in facts.tensors:
        own = [b for b in blocks if tensor.name in b.targets]
        for what in ("learning_rate", "weight_decay"):
            giving = [b for b in own if getattr(b, what) is not None]
            if len(giving) > 1:
                message = f"`{giving[0].name}` and `{giving[1].name}` both set `{what}` of `{tensor.name}`"
                help = ("exclude it from one of them with `except`",)
                raise RecipeError(Diagnostic("E054", message, giving[1].label, help=help))
        if own:
            members.setdefault(tuple(b.name for b in own), []).append(tensor)
    by_name = {b.name: b for b in blocks}
    return tuple(_group([by_name[n] for n in names], tensors) for names, tensors in members.items())


def undecayed(optimizer: Chosen, facts: ModelFacts, groups: Sequence[GroupPlan]) -> tuple[str, ...]:
    """Norms and biases that the optimizer's weight decay spares, as transformers' Trainer does.

    A group that gives a decay gives it to all that it names.
    """
    if not optimizer.get("weight_decay") or optimizer.get("no_decay") != "norms_and_biases":
        return ()
    own = {name for group in groups if group.weight_decay is not None for name in group.targets}
    return tuple(t.name for t in facts.tensors if spared(t) and t.name not in own)


def spared(tensor: TensorFact) -> bool:
    return bool(tensor.roles & {"norm", "bias"})


def _group(blocks: Sequence[Asked], tensors: Sequence[TensorFact]) -> GroupPlan:
    return GroupPlan(
        names=tuple(b.name for b in blocks),
        targets=tuple(t.name for t in tensors),
        weights=sum(t.size for t in tensors),
        learning_rate=next((b.learning_rate for b in blocks if b.learning_rate is not None), None),
        weight_decay=next((b.weight_decay for b in blocks if b.weight_decay is not None), None),
    )


def doubles(value: object) -> float | tuple[float, ...]:
    if isinstance(value, tuple):
        return tuple(float(v) for v in value)
    return float(value)  # type: ignore[arg-type]
