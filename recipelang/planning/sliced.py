"""What shrinking leaves of what earlier blocks pruned: masks lose the units that the weights lose.

Which units go, the run finds out. So how many zeros a matrix has left is known before only where all of it stays: where
it loses no units, and where its layers all have as many.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import prod
from typing import TypeVar

from recipelang.kinds.sizes import AXES
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.planning.types import StagePlan

T = TypeVar("T")


def inside(shrink: ShrinkPlan, name: str) -> tuple[int, str] | None:
    """The layer that a parameter is of, and its name there, where layers go."""
    stack = stack_of(shrink, name)
    if not stack:
        return None
    number, _, rest = name[len(stack) + 1 :].partition(".")
    return int(number), rest


def stack_of(shrink: ShrinkPlan, name: str) -> str:
    """The path of the layers that a parameter is in, where some of them go; empty of one in no layer."""
    return next((s for s in shrink.stacks.values() if shrink.to("layers") and name.startswith(f"{s}.")), "")


def twins(shrink: ShrinkPlan, name: str) -> list[str]:
    """The same parameter in every layer, of which some stay; of one in no layer, itself."""
    found, size = inside(shrink, name), shrink.to("layers")
    if found is None or size is None:
        return [name]
    return [f"{stack_of(shrink, name)}.{i}.{found[1]}" for i in range(size.before)]


def left(shrink: ShrinkPlan, names: Iterable[str]) -> list[str]:
    """Those that the smaller model has. Layers are alike, and numbered anew: whichever stay, these names do."""
    size = shrink.to("layers")
    return [n for n in names if size is None or (found := inside(shrink, n)) is None or found[0] < size.after]


def through(shrink: ShrinkPlan, known: Mapping[str, T]) -> dict[str, T | None]:
    """What was known of parameters, of those that are left: none where it depends on the units that go."""
    cut = {r.name for r in shrink.reshapes}
    return {
        name: None if name in cut or any(known.get(t) != known[name] for t in twins(shrink, name)) else known[name]
        for name in left(shrink, known)
    }


def counts_through(
    shrink: ShrinkPlan, names: Sequence[str], zeros: Sequence[int]
) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    """Targets with the zeros of each, or with one total, as far as these are known of what is left."""
    if len(zeros) == len(names):
        still = {n: z for n, z in through(shrink, dict(zip(names, zeros, strict=True))).items() if z is not None}
        return (tuple(still), tuple(still.values())) if still else None
    cut = {r.name for r in shrink.reshapes}
    whole = all(n not in cut and len(twins(shrink, n)) == 1 for n in names)
    return (tuple(names), tuple(zeros)) if whole else None


def by_block(stage: StagePlan) -> list[list[ShrinkPlan]]:
    """Of every `shrink` block its rounds, or what it does at once."""
    names = dict.fromkeys(s.name for s in stage.shrinks)
    return [[s for s in stage.shrinks if s.name == name] for name in names]


def told_of_all(rounds: Sequence[ShrinkPlan]) -> str:
    """`ffn 1,536 -> 768, layers 6 -> 4`: from before the first round to after the last."""
    sizes: dict[str, tuple[int, int]] = {}
    for size in (s for r in rounds for s in r.sizes):
        sizes[size.axis] = sizes.get(size.axis, (size.before, 0))[0], size.after
    return ", ".join(f"{axis} {sizes[axis][0]:,} -> {sizes[axis][1]:,}" for axis in AXES if axis in sizes)


def protected(stages: Iterable[StagePlan], there: Collection[str]) -> tuple[str, ...]:
    """What `never` protects, of the parameters that are there at the end."""
    return tuple(dict.fromkeys(n for s in stages for p in s.prunes for n in p.never if n in there))


def targets_left(stages: Iterable[StagePlan]) -> dict[str, int]:
    """The targets of all blocks that the model still has at the end -> their weights."""
    sizes: dict[str, int] = {}
    for stage in stages:
        for shrink in stage.shrinks:
            smaller = {r.name: prod(shrink.shape_of(r)) for r in shrink.reshapes}
            sizes = {n: smaller.get(n, sizes[n]) for n in left(shrink, sizes)}
        sizes |= {t.name: t.size for p in stage.prunes for t in p.targets}
    return sizes
