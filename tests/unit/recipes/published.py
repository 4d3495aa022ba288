"""A published recipe of SparseML's first dialect, and what its clock makes of it, step by step.

Only what the oBERT set uses. The clock: before optimizer step k of a run with n steps an epoch it is epoch k/n, as a
double; a modifier acts at the first step at or past its start, then when its period has passed since it last did, and
at the first step at or past its end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """`!Name` with a mapping as that mapping, with the name in it."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    assert isinstance(node, yaml.MappingNode)
    return {"kind": suffix, **loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tagged)


def modifiers(path: Path) -> list[dict[str, Any]]:
    """Every modifier of a file; numbers that YAML 1.1 takes for text (`8e-5`) are numbers."""
    groups = yaml.load(path.read_text("utf-8"), _Loader)
    return [{k: _number(v) for k, v in m.items()} for group in groups.values() for m in group]


def _number(value: object) -> object:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def named(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [m for m in found if m["kind"] == kind]


def sparsities(found: list[dict[str, Any]], per_epoch: int) -> list[tuple[int, float]]:
    """`(step, sparsity)` of every event."""
    (pruning,) = named(found, "OBSPruningModifier")
    (length,) = named(found, "EpochRangeModifier")
    start, end = float(pruning["start_epoch"]), float(pruning["end_epoch"])
    low, high = pruning["init_sparsity"], pruning["final_sparsity"]
    events: list[tuple[int, float]] = []
    last = None
    for step in range(int(length["end_epoch"] * per_epoch)):
        epoch = float(step // per_epoch) + float(step % per_epoch) / per_epoch
        if epoch < start or (last is not None and last < end and epoch < min(end, last + pruning["update_frequency"])):
            continue
        if last is not None and last >= end:
            break
        x = min(1.0, (epoch - start) / (end - start))
        events.append((step, low + (1 - (1 - x) ** 3) * (high - low)))
        last = epoch
    return events


def rates(found: list[dict[str, Any]], per_epoch: int) -> list[float]:
    """The learning rate of every step."""
    functions = named(found, "LearningRateFunctionModifier")
    out = []
    for step in range(int(max(f["end_epoch"] for f in functions) * per_epoch)):
        # where one ends the next begins, and acts after it
        function = [f for f in functions if f["start_epoch"] * per_epoch <= step][-1]
        done = step - function["start_epoch"] * per_epoch
        if function["lr_func"] == "linear":
            x = done / ((function["end_epoch"] - function["start_epoch"]) * per_epoch)
        else:
            cycle = function["cycle_epochs"] * per_epoch
            x = (done % cycle) / (cycle - 1)
        out.append(function["init_lr"] - x * (function["init_lr"] - function["final_lr"]))
    return out
