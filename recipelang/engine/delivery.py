"""Batches on their way to the device: one copy each, whatever they hold, and nothing that has to be read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

#: where an array begins in a packed batch: a multiple of the size of every type
_ALIGNED = 16


def delivered(
    arrays: Mapping[str, np.ndarray],
    device: torch.device,
    cuts: Sequence[slice] | None = None,
    *,
    counted: bool = True,
) -> list[dict[str, Tensor]]:
    """The `cuts` of a batch, or all of it as one, on the device: all by one copy, which nobody waits for.

    `counted`: masks are `Counted`. A model that `torch.compile` reads takes plain tensors only.
    """
    items = len(next(iter(arrays.values())))
    cuts = [slice(0, items)] if cuts is None else cuts
    if device.type == "cpu":
        return [{name: torch.from_numpy(array[cut]) for name, array in arrays.items()} for cut in cuts]
    if [i for c in cuts for i in range(c.start, c.stop)] != [*range(items)]:  # others have the rest
        arrays = {name: np.concatenate([array[cut] for cut in cuts]) for name, array in arrays.items()}
    ends = [*accumulate(c.stop - c.start for c in cuts)]
    here = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    there = _moved(arrays, device)
    parts = [{name: tensor[cut] for name, tensor in there.items()} for cut in here]
    mask = arrays.get("attention_mask")
    if counted and mask is not None:
        for part, cut in zip(parts, here, strict=True):
            part["attention_mask"] = Counted(part["attention_mask"], int(np.count_nonzero(mask[cut])))
    return parts


def _moved(arrays: Mapping[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """One buffer crosses, in memory that a GPU reads by itself; the tensors are parts of it."""
    sizes = [-(-array.nbytes // _ALIGNED) * _ALIGNED for array in arrays.values()]
    starts = [0, *accumulate(sizes)]
    packed = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
    bytes_here = packed.numpy()
    for start, array in zip(starts, arrays.values(), strict=False):
        bytes_here[start : start + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    there = packed.to(device, non_blocking=True)
    found = {}
    for start, (name, array) in zip(starts, arrays.items(), strict=False):
        kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
        # a tensor of its own for autograd: what changes one in place has not changed the others
        found[name] = there[start : start + array.nbytes].view(kind).view(array.shape).data
    return found


#: what leaves every one of a mask where it is
_KEEPS = {
    getattr(torch.Tensor, name)
    for name in ("to", "bool", "long", "int", "clone", "contiguous", "flatten", "reshape", "view")
}
_EQUALS = (torch.Tensor.eq, torch.Tensor.__eq__, torch.eq)


class Counted(torch.Tensor):
    """A mask of zeros and ones on a device, and how many ones there are, which the host knows.

    In every forward pass transformers asks whether a mask leaves anything out: that is answered without waiting for
    the device, as long as nobody has changed the mask. Everything else is done with the tensor itself.
    """

    plain: Tensor
    ones: int
    version: int  # of the tensor when they were counted

    @staticmethod
    def __new__(cls, plain: Tensor, ones: int) -> Counted:
        self = torch.Tensor._make_wrapper_subclass(
            cls, plain.shape, strides=plain.stride(), dtype=plain.dtype, device=plain.device
        )
        self.plain, self.ones, self.version = plain, ones, plain._version
        return self  # type: ignore[no-any-return]

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Counted({self.plain!r}, {self.ones})"

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        mask = args[0] if args and isinstance(args[0], Counted) and args[0].version == args[0].plain._version else None
        if mask is not None and len(args) == 1 and not kwargs:
            if function in (torch.Tensor.all, torch.all):
                return torch.tensor(mask.ones == mask.plain.numel())
            if function in (torch.Tensor.sum, torch.sum):
                return torch.tensor(mask.ones)
        result = cls.__torch_dispatch__(function, types, args, kwargs)
        if mask is None or not isinstance(result, Tensor) or result.is_floating_point():
            return result
        same = function in _KEEPS or (function in _EQUALS and isinstance(args[1], int) and args[1] == 1)
        kept = same and result.device == mask.plain.device and result.numel() == mask.plain.numel()
        return Counted(result, mask.ones) if kept else result

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return function(*tree_map(_plain, args), **tree_map(_plain, kwargs or {}))


def _plain(value: Any) -> Any:
    return value.plain if isinstance(value, Counted) else value
