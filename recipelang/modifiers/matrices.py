"""Weights and masks of a model as matrices, outputs × inputs, however its parameters lie."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.modifiers.modifier import State
from recipelang.pruning.masks import full
from recipelang.pruning.matrix_names import parameter_of
from recipelang.pruning.shards import local
from recipelang.pruning.turned import Turned, as_stored, matrices, seen
from recipelang.source import fail


def weights_of(names: Sequence[str], state: State) -> list[nn.Parameter]:
    """All matrices of these parameters, as outputs × inputs, however they are stored."""
    on_disk = state.present is not None  # those that are in memory now are other objects
    known = {n: state.model.get_parameter(n) for n in names} if on_disk else state.parameters
    return [w for n in names for w in matrices(known[n], state.layouts.get(n))]


def live_of(name: str, weight: nn.Parameter, state: State) -> Tensor:
    """The mask in force of a matrix, as outputs × inputs. One made for an expert is of that expert alone: each of a
    stack would hold a whole stack else."""
    stored = weight.stored if isinstance(weight, Turned) else weight
    known = state.masks.in_force(parameter_of(name)[0], stored)
    return full(weight) if known is None else seen(known, weight)


def put(weights: Sequence[nn.Parameter], names: Sequence[str], keeps: Sequence[Tensor], state: State) -> None:
    """Put masks [outputs, inputs] in force, those of all matrices of a parameter at once."""
    at = 0
    while at < len(weights):
        weight = weights[at]
        stored = weight.stored if isinstance(weight, Turned) else weight
        many = max(1, weight.lies.experts) if isinstance(weight, Turned) else 1
        state.masks.set(parameter_of(names[at])[0], stored, as_stored(keeps[at : at + many], weight))
        at += many


def finite(names: Sequence[str], weights: Sequence[nn.Parameter]) -> None:
    """E187: what is no number has no rank, and would be kept or zeroed by chance."""
    here = [i for i, w in enumerate(weights) if local(w).numel()]
    ends = [torch.stack(local(weights[i]).aminmax()) for i in here]  # one of them is NaN where anything is
    sound = torch.stack(ends).isfinite().all(1).cpu().tolist() if ends else []
    bad = next((i for i, good in zip(here, sound, strict=True) if not good), -1)
    (bad,) = processes.most(bad)
    if bad >= 0:
        help = "lower the learning rate, or start from a checkpoint before the weights diverged"
        raise fail("E187", f"`{names[bad]}` holds NaN or infinity", help=help, notes=["it was about to be pruned"])


def miscopied(name: str, tensor: torch.Tensor, shape: Sequence[int]) -> str | None:
    """As `modifier.misshapen`, of a copy of a weight as it lies in a model: perhaps inputs first, and in one of the types that weights
    have. That it is the type of this weight is judged beside the model (`engine/fitting.py`)."""
    if sorted(tensor.shape) == sorted(shape) and tensor.dtype in (torch.float32, torch.bfloat16, torch.float16):
        return None
    return f"`{name}` is {tensor.dtype} of shape {tuple(tensor.shape)}"
