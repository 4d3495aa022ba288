"""The matrices of a parameter, seen as outputs × inputs, however they lie in it (`pruning.stacks`).

Rows, N:M groups and blocks lie along the inputs of an output, and every expert is a matrix of its own, so scores and
masks are made of views; a view shares its memory with the parameter, and its gradient is the parameter's. Masks in force
lie as the parameters are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recipelang.pruning.stacks import Layout


class Turned(nn.Parameter):
    """A view of one matrix of a parameter. Changes of it in place are changes of the parameter."""

    stored: nn.Parameter
    expert: int | None  # of a stack
    lies: Layout

    @property
    def grad(self) -> Any:  # type: ignore[override]
        gradient = self.stored.grad
        return None if gradient is None else _seen(gradient, self.expert, self.lies)


def _seen(tensor: Tensor, expert: int | None, layout: Layout) -> Tensor:
    matrices = layout.matrices(tensor)
    return matrices if expert is None else matrices[expert]


def matrices(parameter: nn.Parameter, layout: Layout | None) -> list[nn.Parameter]:
    """One, or one for each expert of a stack; the parameter itself where it is such a matrix."""
    if layout is None:
        return [parameter]
    experts: Sequence[int | None] = range(layout.experts) if layout.experts else (None,)
    return [_view(parameter, i, layout) for i in experts]


def _view(parameter: nn.Parameter, expert: int | None, layout: Layout) -> Turned:
    view: Turned = torch.Tensor._make_subclass(Turned, _seen(parameter.detach(), expert, layout))  # type: ignore[attr-defined]
    view.stored, view.expert, view.lies = parameter, expert, layout
    return view


def seen(mask: Tensor, weight: Tensor) -> Tensor:
    """Of a mask that lies as the parameter is stored, that of one of its matrices, [outputs, inputs]."""
    return _seen(mask, weight.expert, weight.lies).contiguous() if isinstance(weight, Turned) else mask


def as_stored(masks: Sequence[Tensor], weight: Tensor) -> Tensor:
    """The masks of all matrices of a parameter as it is stored; `weight` is one of them."""
    if not isinstance(weight, Turned):
        return masks[0]
    each = [m.t() for m in masks] if weight.lies.inputs_first else list(masks)
    whole = each[0] if weight.expert is None else torch.stack(each)
    return whole.reshape(weight.stored.shape).contiguous()
