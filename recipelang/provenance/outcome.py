"""What a plan results in, as numbers for comparing two recipes."""

from __future__ import annotations

from math import prod

from recipelang.planning.sliced import left, targets_left
from recipelang.planning.types import Plan


def outcome(plan: Plan) -> dict[str, float]:
    """The numbers at the end of the plan; non-zeros are counted in all matrices that a schedule prunes."""
    sizes = targets_left(plan.stages)
    zeros: dict[str, float] = {}
    for stage in plan.stages:
        for shrink in stage.shrinks:  # of zeros that are not known before, as many as there were in proportion
            smaller = {r.name: prod(shrink.shape_of(r)) / prod(r.shape) for r in shrink.reshapes}
            zeros = {n: zeros[n] * smaller.get(n, 1) for n in left(shrink, zeros)}
        for prune in stage.prunes:
            if not prune.events:
                continue
            last = prune.events[-1].zeros
            if len(last) == len(prune.targets):
                zeros |= {t.name: float(n) for t, n in zip(prune.targets, last, strict=True)}
            else:  # a global ranking tells one total: spread over its targets by size
                total = sum(t.size for t in prune.targets)
                zeros |= {t.name: sum(last) * t.size / total for t in prune.targets}
    return {
        "optimizer steps": plan.steps,
        "pruning events": sum(len(p.events) for s in plan.stages for p in s.prunes),
        "pruned tensors": len(sizes),
        "non-zeros of the pruned tensors": round(sum(sizes.values()) - sum(zeros.values())),
        "parameters": plan.parameters(),
        "estimated peak memory, bytes": plan.peak_memory,
    }
