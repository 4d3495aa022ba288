"""What `run.json` holds: what was run and in what, and how it went."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from recipelang import __version__, processes
from recipelang.engine.records import Measurements, Result
from recipelang.plan.types import Plan

_PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy")


def body(
    plan: Plan, status: str, digest: str, device: torch.device, shards: bool, more: Mapping[str, Any]
) -> dict[str, Any]:
    """`status`: running, interrupted, failed or finished. `digest`: of the run. `more`: how it went, if it did."""
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
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": {
            "recipelang": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "device": _named(device),
            "processes": processes.world(),
            "shards": shards,
            **{p: version(p) for p in _PACKAGES},
        },
        **more,
    }


def _named(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{device.type} ({threads} thread{'s' * (threads > 1)})"


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
