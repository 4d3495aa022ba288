"""Weights that a module stores as inputs × outputs, as GPT-2's `Conv1D` does, seen as outputs × inputs.

Rows, N:M groups and blocks lie along the inputs of an output, so scores and masks are made of the turned view; it
shares its memory with the weight, and its gradient is the weight's. Masks in force lie as the weights are stored.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

#: classes of modules whose `weight` is [inputs, outputs]
_INPUTS_FIRST = ("Conv1D",)


def inputs_first(model: nn.Module) -> frozenset[str]:
    """Names of the parameters that are stored inputs first."""
    return frozenset(
        f"{name}.weight".removeprefix(".")
        for name, module in model.named_modules()
        if type(module).__name__ in _INPUTS_FIRST and isinstance(getattr(module, "weight", None), nn.Parameter)
    )


class Turned(nn.Parameter):
    """The turned view of a weight. Changes of it in place are changes of the weight."""

    stored: nn.Parameter

    @property
    def grad(self) -> Any:  # type: ignore[override]
        gradient = self.stored.grad
        return None if gradient is None else gradient.t()


def turned(weight: nn.Parameter) -> Turned:
    view: Turned = torch.Tensor._make_subclass(Turned, weight.detach().t())  # type: ignore[attr-defined]
    view.stored = weight
    return view


def as_stored(mask: Tensor) -> Tensor:
    """A mask [outputs, inputs] in the layout of its weight, and the other way round."""
    return mask.t().contiguous()
