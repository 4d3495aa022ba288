"""Measure a model on a split."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn

from recipelang import processes
from recipelang.plan.types import EvaluatePlan
from recipelang.source import fail
from recipelang.tasks import Features, question_answering as task
from recipelang.tasks.causal_lm import Blocks
from recipelang.tasks.squad_format import Example

BATCH = 64
#: of a language model, in one forward pass: the logits of a large vocabulary are what takes memory
TOKENS = 4096


@torch.no_grad()
def evaluate(
    model: nn.Module,
    plan: EvaluatePlan,
    examples: tuple[Any, ...],
    features: Features,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[None]],
) -> dict[str, float]:
    """The plan's metrics; what is a share is given as a ratio."""
    training = model.training
    model.eval()
    found = (
        {"perplexity": _perplexity(model, features, device, autocast)}
        if isinstance(features, Blocks)
        else _answers(model, examples, features, device, autocast)  # type: ignore[arg-type]
    )
    model.train(training)
    return {m: found[m] for m in plan.metrics}


def _perplexity(
    model: nn.Module, blocks: Blocks, device: torch.device, autocast: Callable[[], AbstractContextManager[None]]
) -> float:
    """The exponential of the mean loss of a predicted token, whatever block it stands in."""
    size = max(1, TOKENS // blocks.input_ids.shape[1])
    batches = [np.arange(first, min(first + size, len(blocks))) for first in range(0, len(blocks), size)]
    losses = np.full(len(batches), -np.inf)
    for number in processes.dealt(range(len(batches))):
        batch = {k: torch.from_numpy(v).to(device) for k, v in blocks.batch(batches[number]).items()}
        with autocast():
            losses[number] = float(model(**batch).loss)
    processes.largest([torch.from_numpy(losses)])  # what others computed is -inf here
    predicted = [blocks.predicted(rows) for rows in batches]
    lost = sum(float(loss) * count for loss, count in zip(losses, predicted, strict=True))
    if math.isnan(lost):
        raise fail("E082", "the loss of an evaluation is not a number", help="look at the weights: one may be infinite")
    return math.exp(min(lost / sum(predicted), 700.0))  # beyond, a double has no number for it


def _answers(
    model: nn.Module,
    examples: tuple[Example, ...],
    features: task.Features,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[None]],
) -> dict[str, float]:
    """Rows are visited by length, so that padding costs little."""
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
    return task.score(task.decode(features, examples, start, end), examples)
