"""A second kind of device for machines that have none: it computes on the CPU, and counts what would cross to and from a GPU.

A tensor that lies there wraps one of the CPU. Every operation is done on what is wrapped, so its results are the CPU's,
bit for bit; an operation on tensors of both sides is refused, as a GPU refuses it. What a GPU has to wait for is noted
with the line of Python that asked for it. The device is registered once and for all, so only a process of its own may
load this module (`tests.forked`). Streams, pinned memory, kernels of their own and a limit of memory are not imitated.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

NAME = "pretended"
#: operations after which Python, or the size of the result, depends on values
READS = {
    *("_local_scalar_dense", "equal", "is_nonzero", "masked_select", "nonzero", "nonzero_static", "bincount"),
    *("_unique", "_unique2", "unique_consecutive", "unique_dim", "repeat_interleave", "histc"),
}
_MOVES = ("_to_copy", "copy_")
_INDEXED = ("index", "index_put", "index_put_")


@dataclass
class Crossings:
    """What has crossed since the last `clear`, each with where it was asked for."""

    reads: Counter[str] = field(default_factory=Counter)
    arrived: Counter[str] = field(default_factory=Counter)  # copies to the device
    left: Counter[str] = field(default_factory=Counter)  # copies from it

    @property
    def waits(self) -> int:
        """How often the host waited for the device."""
        return self.reads.total() + self.left.total()

    def clear(self) -> None:
        for counter in (self.reads, self.arrived, self.left):
            counter.clear()


CROSSED = Crossings()


def _asked_by() -> str:
    """The innermost line that is neither torch's nor of this file."""
    frame = sys._getframe(2)
    while frame.f_back is not None and ("/torch/" in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    return f"{'/'.join(frame.f_code.co_filename.split('/')[-2:])}:{frame.f_lineno}"


class _Runtime:
    """What torch and others ask of a kind of device, beside tensors."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def _is_in_bad_fork(self) -> bool:
        return False

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def set_device(self, device: object) -> None:
        pass

    def synchronize(self, device: object = None) -> None:
        CROSSED.reads[f"synchronize {_asked_by()}"] += 1

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    # random numbers are the CPU's, so that a run here draws what a run there does
    def manual_seed(self, seed: int) -> None:
        pass

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_rng_state(self, device: object = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: object = None) -> None:
        pass


backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Runtime())
DEVICE = torch.device(NAME, 0)


class There(torch.Tensor):
    """A tensor on the device; `here` is that of the CPU which holds its values."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor, requires_grad: bool = False) -> There:
        layout = {"strides": here.stride(), "storage_offset": here.storage_offset(), "dtype": here.dtype}
        self = torch.Tensor._make_wrapper_subclass(
            cls, here.size(), device=DEVICE, requires_grad=requires_grad, **layout
        )
        self.here = here
        return self  # type: ignore[no-any-return]

    def __repr__(self) -> str:  # type: ignore[override]
        return f"There({self.here!r})"

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _do(operation, args, kwargs or {})


def _do(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation on what is wrapped; what comes of it lies where the operands did, or where it was asked for."""
    name = operation.overloadpacket.__name__
    there: dict[int, There] = {}  # by what they wrap, so that what is changed in place stays what it was
    others: list[torch.Tensor] = []
    plain = _unwrapped(args, there, others)
    named = {key: _unwrapped(value, there, others) for key, value in kwargs.items()}
    stays = bool(there)
    if named.get("device") is not None:
        stays = torch.device(named["device"]).type == NAME
        if stays:
            named["device"] = "cpu"
            named.pop("pin_memory", None)
    if name in _MOVES:
        _note_move(name, args, stays)
    elif there:
        if (other := next((t for t in others if t.dim()), None)) is not None:
            raise RuntimeError(f"{name}: a tensor of {other.device} and one of {DEVICE}")
        if name in READS or (name in _INDEXED and any(_is_mask(t) for t in args[1] or ())):
            CROSSED.reads[f"{name} {_asked_by()}"] += 1
    return _wrapped(operation(*plain, **named), there, stays)


def _unwrapped(value: Any, there: dict[int, There], others: list[torch.Tensor]) -> Any:
    if isinstance(value, There):
        there[id(value.here)] = value
        return value.here
    if isinstance(value, torch.Tensor):
        others.append(value)
    elif isinstance(value, list | tuple):
        return [_unwrapped(v, there, others) for v in value]
    return value


def _wrapped(value: Any, there: dict[int, There], stays: bool) -> Any:
    if isinstance(value, torch.Tensor):
        known = there.get(id(value))
        return known if known is not None else There(value) if stays else value
    if isinstance(value, list | tuple):
        return type(value)(_wrapped(v, there, stays) for v in value)
    return value


def _is_mask(index: Any) -> bool:
    """As an index it has to be looked at: how many are true decides the size of the result."""
    return isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)


def _note_move(name: str, args: Any, stays: bool) -> None:
    """Count a copy from one side to the other; a number is handed to a kernel, and no copy."""
    if name == "_to_copy":
        was = isinstance(args[0], There)
        arrives, leaves = stays and not was, was and not stays
    else:
        into, of = (isinstance(t, There) for t in args[:2])
        arrives, leaves = into and not of and args[1].dim() > 0, of and not into
    if arrives:
        CROSSED.arrived[_asked_by()] += 1
    if leaves:
        CROSSED.left[_asked_by()] += 1


class _Here(TorchDispatchMode):
    """Makes tensors that are asked for on the device, and sees those that cross."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _do(operation, args, kwargs or {})


# what torch calls from C++, where no mode is asked
def _empty(size: Any, *_: Any, dtype: torch.dtype | None = None, **__: Any) -> There:
    return There(torch.empty(size, dtype=dtype))


def _empty_strided(size: Any, stride: Any, *_: Any, dtype: torch.dtype | None = None, **__: Any) -> There:
    return There(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: torch.Tensor, to: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    a, b = (t.here if isinstance(t, There) else t for t in (source, to))
    b.copy_(a)
    return to


_LIBRARY = torch.library.Library("aten", "IMPL")
for _name, _function in {
    "empty.memory_format": _empty,
    "empty_strided": _empty_strided,
    "_copy_from": _copy_from,
}.items():
    _LIBRARY.impl(_name, _function, "PrivateUse1")


@contextmanager
def device() -> Iterator[torch.device]:
    """While this is open the device can be used, and runs take it."""
    from recipelang.engine import course

    chosen = course.chosen_device
    course.chosen_device = lambda: DEVICE
    # a model that moves keeps its parameters, tied ones too, as it does on the way to a GPU
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with _Here():
            yield DEVICE
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
        course.chosen_device = chosen
