"""Weights that processes hold in shards (`torch.distributed.fsdp.fully_shard`): what of them is here, and the whole.

A shard is some of a tensor's rows, one behind the other in the order of the processes, so what comes first in a
tensor is at the process of a lower rank. A weight that is no shard is all here, and goes through unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.source import fail


def is_shard(tensor: Tensor) -> bool:
    return hasattr(tensor, "device_mesh")


@torch.no_grad()
def local(tensor: Tensor) -> Tensor:
    """What is here: no copy, so what is done to it in place is done to the weight."""
    return tensor.to_local() if is_shard(tensor) else tensor  # type: ignore[attr-defined, no-any-return]


@torch.no_grad()
def whole(tensor: Tensor) -> Tensor:
    """All of it, in every process. All have to call this, for the same tensors in the same order."""
    return tensor.full_tensor() if is_shard(tensor) else tensor  # type: ignore[attr-defined, no-any-return]


def rows(weight: Tensor) -> slice:
    """Which rows of the whole are here."""
    return rows_of(len(weight)) if is_shard(weight) else slice(0, len(weight))


def rows_of(height: int) -> slice:
    """Which of so many rows are here, of a weight in shards."""
    each = -(-height // processes.world())
    first = min(processes.rank() * each, height)
    return slice(first, min(first + each, height))


def of_weight(tensor: Tensor, weight: Tensor) -> Tensor:
    """What lies here of a whole tensor in the shape of a weight."""
    return tensor[rows(weight)].contiguous() if is_shard(weight) and tensor.shape == weight.shape else tensor


def beside(tensor: Tensor, weight: Tensor) -> Tensor:
    """A tensor in the shape of a weight, or of what of it is here, in shards as the weight is."""
    if not is_shard(weight) or is_shard(tensor) or not tensor.dim():
        return tensor
    mine = tensor if tensor.shape == local(weight).shape else of_weight(tensor, weight)
    return placed(mine, weight.shape, weight)


def placed(rows: Tensor, shape: Sequence[int], like: Tensor) -> Tensor:
    """Rows that are here of a whole of this shape, in shards over the same processes as a weight."""
    from torch.distributed.tensor import DTensor

    stride = torch.empty(tuple(shape), device="meta").stride()
    how = like.device_mesh, like.placements  # type: ignore[attr-defined]
    return DTensor.from_local(rows, *how, run_check=False, shape=torch.Size(shape), stride=stride)


def sums(counts: Iterable[int], weights: Iterable[Tensor]) -> list[int]:
    """What was counted here of each weight, over all processes that hold a part of it."""
    here = list(counts)
    return [int(n) for n in processes.total(*here)] if any(map(is_shard, weights)) else here


def zeros(weights: Iterable[Tensor]) -> list[int]:
    """Exact zeros of each, wherever they are."""
    known = list(weights)
    here = [local(w) for w in known]
    others = (
        torch.stack([w.count_nonzero() for w in here]).cpu().tolist() if here else []
    )  # a sum takes 8 bytes a weight
    return sums([w.numel() - n for w, n in zip(here, others, strict=True)], known)


def shard(model: nn.Module, device: torch.device) -> None:
    """Put a model into shards, a layer at a time. What is not a shard afterwards is a bug, never silently a copy."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(device.type, (processes.world(),))
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList)]
    for layer in (layer for m in lists for layer in m):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, reshard_after_forward=True)  # between steps there are nothing but shards
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # the weights of parts of a batch add up to 1 already
            module.set_force_sum_reduction_for_comms(True)
    check(model)


def rest(model: nn.Module) -> None:
    """Back to shards, where a forward pass without a backward one has left whole weights."""
    if callable(reshard := getattr(model, "reshard", None)):
        reshard()


def check(model: nn.Module) -> None:
    """Every weight is a shard by rows, over all processes. E055 for other layouts."""
    for name, weight in model.named_parameters():
        fits = is_shard(weight) and weight.device_mesh.size() == processes.world()  # type: ignore[attr-defined]
        if not fits or [str(p) for p in weight.placements] != ["S(0)"]:  # type: ignore[attr-defined]
            help = "shard by rows, over all processes: `fully_shard(model)`"
            raise fail("E055", f"this release does not support the layout of `{name}`", help=help)
