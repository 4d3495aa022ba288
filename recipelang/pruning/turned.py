"""The matrices of a parameter, seen as outputs × inputs: how it is stored is told here and nowhere else.

A module may store inputs × outputs, as GPT-2's `Conv1D` does, and the experts of a mixture lie in one stack
[experts, outputs, inputs]. Rows, N:M groups and blocks lie along the inputs of an output, and every expert is a matrix
of its own, so scores and masks are made of views; a view shares its memory with the parameter, and its gradient is the
parameter's. Masks in force lie as the parameters are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: classes of modules whose `weight` is [inputs, outputs]
_INPUTS_FIRST = ("Conv1D",)


def inputs_first(model: nn.Module) -> frozenset[str]:
    """Names of the parameters that are stored inputs first: a matrix as [inputs, outputs], a stack with that in each."""
    found = []
    for path, module in model.named_modules():
        if type(module).__name__ in _INPUTS_FIRST and isinstance(getattr(module, "weight", None), nn.Parameter):
            found.append(f"{path}.weight")
        elif getattr(module, "is_transposed", False):
            own = module.named_parameters(recurse=False)
            found += [f"{path}.{n}" for n, p in own if is_stack(f"{path}.{n}", p)]
    return frozenset(n.removeprefix(".") for n in found)


def is_stack(name: str, parameter: Tensor) -> bool:
    """Whether a parameter holds the matrices of all experts of a layer."""
    return parameter.dim() == 3 and "experts" in name.split(".")


class Turned(nn.Parameter):
    """A view of one matrix of a parameter. Changes of it in place are changes of the parameter."""

    stored: nn.Parameter
    expert: int | None  # of a stack
    inputs_first: bool

    @property
    def grad(self) -> Any:  # type: ignore[override]
        gradient = self.stored.grad
        return None if gradient is None else _seen(gradient, self.expert, self.inputs_first)


def _seen(tensor: Tensor, expert: int | None, turned: bool) -> Tensor:
    matrix = tensor if expert is None else tensor[expert]
    return matrix.t() if turned else matrix


def matrices(parameter: nn.Parameter, turned: bool) -> list[nn.Parameter]:
    """One, or one for each expert of a stack; the parameter itself where it is such a matrix."""
    if parameter.dim() == 2 and not turned:
        return [parameter]
    experts: Sequence[int | None] = range(len(parameter)) if parameter.dim() == 3 else (None,)
    return [_view(parameter, i, turned) for i in experts]


def _view(parameter: nn.Parameter, expert: int | None, turned: bool) -> Turned:
    view: Turned = torch.Tensor._make_subclass(Turned, _seen(parameter.detach(), expert, turned))  # type: ignore[attr-defined]
    view.stored, view.expert, view.inputs_first = parameter, expert, turned
    return view


def names_of(name: str, shape: Sequence[int]) -> list[str]:
    """Of the matrices of a parameter of this shape.

    >>> names_of("a.weight", (8, 4)), names_of("experts.down_proj", (2, 8, 4))
    (['a.weight'], ['experts.down_proj[0]', 'experts.down_proj[1]'])
    """
    return [name] if len(shape) < 3 else [f"{name}[{i}]" for i in range(shape[0])]


def parameter_of(name: str) -> tuple[str, int | None]:
    """The parameter that a matrix of these names is in, and which expert of a stack it is.

    >>> parameter_of("a.weight"), parameter_of("experts.down_proj[1]")
    (('a.weight', None), ('experts.down_proj', 1))
    """
    parameter, _, expert = name.rstrip("]").partition("[")
    return parameter, int(expert) if expert else None


def expert_of(name: str) -> str:
    """The expert that a matrix of these names is part of; empty for a matrix that every token reads.

    >>> expert_of("mlp.experts.down_proj[1]"), expert_of("mlp.experts.3.up_proj.weight"), expert_of("mlp.up_proj.weight")
    ('mlp.experts[1]', 'mlp.experts.3', '')
    """
    parameter, expert = parameter_of(name)
    if expert is not None:
        return f"{parameter.rpartition('.')[0]}[{expert}]"
    before, found, after = parameter.partition(".experts.")
    return f"{before}{found}{after.partition('.')[0]}" if found else ""


def seen(mask: Tensor, weight: Tensor) -> Tensor:
    """Of a mask that lies as the parameter is stored, that of one of its matrices, [outputs, inputs]."""
    return _seen(mask, weight.expert, weight.inputs_first).contiguous() if isinstance(weight, Turned) else mask


def as_stored(masks: Sequence[Tensor], weight: Tensor) -> Tensor:
    """The masks of all matrices of a parameter as it is stored; `weight` is one of them."""
    if not isinstance(weight, Turned):
        return masks[0]
    each = [m.t() for m in masks] if weight.inputs_first else list(masks)
    return (each[0] if weight.expert is None else torch.stack(each)).contiguous()
