"""What a plan results in, as numbers for comparing two recipes."""

from __future__ import annotations

from recipelang.planning.types import Plan


def outcome(plan: Plan) -> dict[str, float]:
    """The numbers at the end of the plan; non-zeros are counted in all matrices that a schedule prunes."""
    sizes = {t.name: t.size for s in plan.stages for p in s.prunes for t in p.targets}
    zeros: dict[str, float] = {}
    for stage in plan.stages:
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
