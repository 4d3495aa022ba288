"""What several benchmarks need of this project: a block that prunes named matrices by magnitude, as the engine runs it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from recipelang.modifiers.modifier import State
from recipelang.modifiers.prune import Prune, make
from recipelang.planning.prune_plan import PruneEvent, PrunePlan, Target
from recipelang.pruning.masks import Masks


def block(model: nn.Module, names: Sequence[str], scope: str, sparsities: Sequence[float]) -> PrunePlan:
    """An event at step 0, 1, 2 … for each sparsity."""
    shapes = {n: tuple(p.shape) for n, p in model.named_parameters()}
    sizes = [shapes[n][0] * shapes[n][1] for n in names]

    def zeros(sparsity: float) -> tuple[int, ...]:
        return (round(sparsity * sum(sizes)),) if scope == "global" else tuple(round(sparsity * n) for n in sizes)

    return PrunePlan(
        name="weights",
        method="magnitude",
        args={},
        scope=scope,  # type: ignore[arg-type]
        pattern="unstructured",
        pattern_size=(0, 0),
        targets=tuple(Target(name=n, shape=shapes[n], purpose="other matrices") for n in names),
        never=(),
        dense=(),
        events=tuple(PruneEvent(step=i, sparsity=s, zeros=zeros(s)) for i, s in enumerate(sparsities)),
    )


def acting(model: nn.Module, optimizer: torch.optim.Optimizer, plan: PrunePlan) -> tuple[Prune, State]:
    names = [t.name for t in plan.targets]
    return Prune(plan, make(plan.method, {}, names, 0), 0), State(model, optimizer, Masks(), len(plan.events))
