"""Measure a model on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.delivery import delivered
from recipelang.engine.offload import Offloaded
from recipelang.engine.passes import answers, together
from recipelang.engine.writing import write
from recipelang.planning.types import EvaluatePlan
from recipelang.source import fail
from recipelang.spec.metrics import MEASURES
from recipelang.tasks import Features, Task


@torch.no_grad()
def evaluate(
    model: nn.Module,
    task: Task,
    plan: EvaluatePlan,
    examples: Sequence[Any],
    features: Features,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[None]],
    disk: Offloaded | None = None,
    told: Callable[[int], object] = lambda rows: None,
) -> dict[str, float]:
    """The plan's metrics; what is a share is given as a ratio.

    `told`: before the first portion and after each, of how many rows are done; it may raise to end the evaluation.

    Every batch is one process's, whole, and what is kept of a row is joined before anything is counted: any number
    of processes gives the same bits.
    """
    writes = any(MEASURES[m].package for m in plan.metrics)
    parts: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
    done = 0
    told(done)
    dealt = list(processes.dealt(_batches(features, plan.batch)))
    many = together(disk, plan.batch * features.width)
    with _evaluating(model):
        for some in (dealt[first : first + many] for first in range(0, len(dealt), many)):
            batches = [delivered(features.batch(rows), device)[0] for rows in some]
            read = [{k: v for k, v in batch.items() if k not in task.labels} for batch in batches]
            answered = answers(model, disk, read, autocast)
            for rows, batch in zip(some, batches, strict=True):
                outputs = next(answered)
                found = task.kept(outputs, batch)
                del outputs  # else the logits of two batches would be in memory
                if writes:
                    with autocast():
                        found["written"] = write(model, batch, features.longest_target, features.opening)  # type: ignore[attr-defined]
                parts.append((rows, {name: _narrow(kept) for name, kept in found.items()}))
                done += len(rows) * processes.world()
            told(min(done, len(features)))
    measured = task.measure(_joined(parts, len(features)), features, examples, plan)
    return {m: measured[m] for m in plan.metrics}


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout; afterwards as it was, however the evaluation ends."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _batches(features: Features, size: int) -> list[np.ndarray]:
    """Rows are visited by length, so that padding costs little."""
    order = np.argsort(features.lengths, kind="stable")
    return [order[first : first + size] for first in range(0, len(order), size)]


def _narrow(kept: Tensor) -> np.ndarray:
    return kept.reshape(len(kept), -1).float().cpu().numpy()


def _joined(parts: list[tuple[np.ndarray, dict[str, np.ndarray]]], items: int) -> dict[str, np.ndarray]:
    """What was kept of all rows, [items, longest]. E082 for what is no number, in all processes at once."""
    bad = any(np.isnan(kept).any() for _, each in parts for kept in each.values())
    if processes.most(bad)[0]:
        help = "check the weights: one may be infinite"
        raise fail("E082", "an evaluation output is NaN", help=help)
    names = list(parts[0][1])
    widths = processes.most(*(max(each[name].shape[1] for _, each in parts) for name in names))
    joined = {name: np.full((items, width), -np.inf, np.float32) for name, width in zip(names, widths, strict=True)}
    for rows, each in parts:
        for name, kept in each.items():
            joined[name][rows, : kept.shape[1]] = kept
    processes.largest([torch.from_numpy(kept) for kept in joined.values()])  # what others computed is -inf here
    return joined
