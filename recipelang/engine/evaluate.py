"""Measure a model on a split."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import nn

from recipelang import processes
from recipelang.plan.types import EvaluatePlan
from recipelang.tasks import question_answering as task
from recipelang.tasks.squad_format import Example

BATCH = 64


@torch.no_grad()
def evaluate(
    model: nn.Module,
    plan: EvaluatePlan,
    examples: tuple[Example, ...],
    features: task.Features,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[None]],
) -> dict[str, float]:
    """The plan's metrics, as ratios. Rows are visited by length, so that padding costs little."""
    training = model.training
    model.eval()
    longest = features.input_ids.shape[1]
    start = np.full((len(features), longest), -np.inf, np.float32)
    end = np.full_like(start, -np.inf)
    order = np.argsort(features.lengths, kind="stable")
    for rows in processes.dealt([order[first : first + BATCH] for first in range(0, len(order), BATCH)]):
        batch = task.collate(features, rows)
        inputs = {k: torch.from_numpy(v).to(device) for k, v in batch.items() if k not in task.LABELS}
        with autocast():
            outputs = model(**inputs)
        width = min(longest, outputs.start_logits.shape[1])
        start[rows, :width] = outputs.start_logits.float().cpu().numpy()[:, :width]
        end[rows, :width] = outputs.end_logits.float().cpu().numpy()[:, :width]
    processes.largest([torch.from_numpy(start), torch.from_numpy(end)])  # what others computed is -inf here
    model.train(training)
    found = task.score(task.decode(features, examples, start, end), examples)
    return {m: found[m] for m in plan.metrics}
