"""A step of a loop of one's own, with a recipe attached to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def step(
    model: nn.Module, optimizer: torch.optim.Optimizer, pruning: Any, batch: tuple[Tensor, Tensor], parts: int = 1
) -> None:
    """On the squared difference of outputs and targets, in so many parts of the batch."""
    pruning.step_start()
    for shown, wanted in zip(*(t.chunk(parts) for t in batch), strict=True):
        (((model(shown) - wanted) ** 2).mean() / parts).backward()
    pruning.gradients()
    optimizer.step()
    optimizer.zero_grad()
    pruning.step_end()
