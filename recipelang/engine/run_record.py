"""What `run.json` holds: what was run and in what, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from recipelang.engine.records import Measurements, Result
from recipelang.plan.types import Plan


def body(plan: Plan, status: str, digest: str, around: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`status`: running, interrupted, failed or finished. `digest`: of the run. `around`: its environment.

    `more`: how it went, if it did.
    """
    return {
        "format_version": "1.0",
        "status": status,
        "recipe": plan.name,
        "rehearsal": plan.rehearsal,
        "digests": {
            "spec": plan.spec_digest,
            "behaviour": plan.behaviour_digest,
            "model": plan.model.digest,
            "run": digest,
        },
        "seed": plan.seed,
        "data": {d.label or "data": d.meaning.told() for d in plan.data},
        "counted": {e.name: {"positive": e.positive, "null_threshold": e.null_threshold} for e in plan.evaluations},
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": dict(around),
        **more,
    }


def told_of(result: Result, seconds: Mapping[str, float], zeros: Mapping[str, int]) -> dict[str, Any]:
    """Of a finished run. `seconds`: by stage; `zeros`: of every parameter."""
    m = result.measurements
    targets = list(dict.fromkeys(t.name for s in result.plan.stages for p in s.prunes for t in p.targets))
    return {
        "metrics": m.metrics,
        "seconds": seconds,
        "sparsity": {
            "targets": sum(m.zeros[n] for n in targets) / max(1, sum(m.sizes[n] for n in targets)),
            "all_parameters": sum(zeros.values()) / sum(m.sizes.values()),
            "tensors": {n: m.zeros[n] / m.sizes[n] for n in m.zeros},
        },
        "never": {"tensors": len(result.plan.never), "gained_zeros": result.gained},
        "claims": [
            {"kind": v.claim.kind, "text": v.claim.text, "expected": v.expected, "measured": v.measured, "met": v.met}
            for v in result.verdicts
        ],
    }


def counted(m: Measurements) -> dict[str, Any]:
    """Zeros of every matrix, and the patterns that it keeps to: for the statement."""
    return {
        "tensors": {n: {"zeros": z, "size": m.sizes[n]} for n, z in m.zeros.items()},
        "patterns": {n: [_pattern(*p) for p in each] for n, each in m.patterns.items() if each},
    }


def _pattern(kind: str, size: tuple[int, int]) -> str:
    return f"{size[0]}:{size[1]}" if kind == "N:M" else f"{kind}({size[0]}, {size[1]})"
