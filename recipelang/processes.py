"""The processes of one run, as `torchrun` and `accelerate launch` start them; one, unless they did.

Whatever crosses from one process to another goes through here. What is decided or counted goes over gloo, on a
CPU, whatever the weights are on. A process that is gone is found by the others at the next of these calls: E088.
With one process nothing here costs or changes anything.
"""

from __future__ import annotations

import functools
import os
import re
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, distributed as dist

from recipelang.source import RecipeError, fail

P = ParamSpec("P")
T = TypeVar("T")

#: gradients go together in pieces of so many bytes
_BUCKET = 32 << 20
#: how long one that failed too waits for the first one to have told of it
_PATIENCE = timedelta(seconds=10)
#: what the libraries say when the other end of a connection is gone
_GONE = ("closed by peer", "reset by peer", "Broken pipe", "Connection refused", "Timed out")

_store: dist.Store | None = None


def launched() -> int:
    """How many processes were started, before they know of each other. E193 for what is no number of them."""
    value = os.environ.get("WORLD_SIZE") or "1"
    if not re.fullmatch(r"[1-9][0-9]{0,5}", value):
        raise _not_started(f"`WORLD_SIZE={value[:40]}` is not a number of processes")
    return int(value)


def join() -> None:
    """Meet the other processes. At most once, before anything else here."""
    global _store
    if launched() == 1 or dist.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "cpu:gloo"
    with _coded():
        try:
            _store, rank, world = next(iter(dist.rendezvous("env://")))
        except ValueError as error:  # a variable is missing, or no number
            raise _not_started(str(error)[:160]) from None
        dist.init_process_group(backend, store=dist.PrefixStore("recipelang", _store), rank=rank, world_size=world)


def leave() -> None:
    """Wait for the others, then give up what connects them: its threads may not outlive the interpreter."""
    global _store  # noqa: PLW0603
    if _store is None:
        return
    wait()
    _control.cache_clear()
    dist.destroy_process_group()
    _store = None


def _not_started(why: str) -> RecipeError:
    help = "start the processes with `torchrun`, or unset `WORLD_SIZE` for one process"
    return fail("E193", "the processes of this run cannot connect", notes=[why], help=help)


def world() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if world() > 1 else 0


def main() -> bool:
    """Whether this is the one process that writes."""
    return rank() == 0


# ----------------------------------------------------------------------- failures
class _coded:
    """As a context and as a decorator: a collective that fails means that a process is gone."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RuntimeError):
            raise gone(error) from None

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def inner(*args: P.args, **more: P.kwargs) -> T:
            with self:
                return function(*args, **more)

        return inner


def gone(error: BaseException) -> RecipeError:
    """E088, of what the library said."""
    said = re.sub(r"^\[[^]]*\] ", "", next(iter(str(error).splitlines()), ""))  # without a place in a source
    return fail("E088", "a process of this run has ended", notes=[textwrap.shorten(said, 90, placeholder=" …")])


def is_gone(error: BaseException) -> bool:
    """Whether a failure inside a model in shards is that of another process."""
    return world() > 1 and (
        isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and any(w in str(error) for w in _GONE))
    )


def first_to_fail() -> bool:
    """Of all processes only the first that fails tells of it; the others wait until it has."""
    if _store is None:
        return True
    try:
        if _store.add("failed", 1) == 1:
            return True
        _store.wait(["told"], _PATIENCE)
    except RuntimeError:  # the store itself is gone, or nobody told
        return False
    return False


def told() -> None:
    """The first has told of its failure: the launcher may end the others now."""
    if _store is not None:
        _store.set("told", "1")


# -------------------------------------------------------------------- collectives
@functools.cache
def _control() -> dist.ProcessGroup | None:
    """A group that moves CPU tensors: in a loop of somebody's own the default one may not."""
    return dist.new_group(backend="gloo") if dist.get_backend() == "nccl" else None


@_coded()
def wait() -> None:
    """Until all are here."""
    if world() > 1:
        dist.all_reduce(torch.zeros(1), group=_control())  # `barrier` would take a GPU where there is one


@_coded()
def total(*values: float) -> list[float]:
    """Sums over all processes."""
    if world() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums, group=_control())
    return [float(v) for v in sums]


@_coded()
def most(*values: int) -> list[int]:
    """The largest of all processes, of each value."""
    if world() == 1:
        return list(values)
    largest = torch.tensor(values, dtype=torch.int64)
    dist.all_reduce(largest, dist.ReduceOp.MAX, group=_control())
    return [int(v) for v in largest]


@_coded()
def gathered(*values: float) -> list[list[float]]:
    """Everybody's numbers, as many from each, in the order of their ranks: one exchange for sums, largest and more."""
    if world() == 1:
        return [list(values)]
    mine = torch.tensor(values, dtype=torch.float64)
    rows = [torch.empty_like(mine) for _ in range(world())]
    dist.all_gather(rows, mine, group=_control())
    return [row.tolist() for row in rows]


@_coded()
def each(value: T) -> list[T]:
    """Everybody's value, small, in the order of their ranks."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    dist.all_gather_object(values, value, group=_control())
    return values


def first(value: T) -> T:
    """That of the main process."""
    return each(value)[0]


@_coded()
def add(tensors: Sequence[Tensor]) -> None:
    """Sum tensors of the same shapes over all processes, in place and with the same bits in all of them."""
    if world() == 1:
        return
    for together in _buckets(tensors):
        if len(together) == 1 and together[0].is_contiguous():
            dist.all_reduce(together[0])
            continue
        flat = torch.cat([t.reshape(-1) for t in together])
        dist.all_reduce(flat)
        for t, summed in zip(together, flat.split([t.numel() for t in together]), strict=True):
            t.copy_(summed.view_as(t))


@_coded()
def largest(tensors: Sequence[Tensor]) -> None:
    """The largest of all processes, element by element, in place."""
    if world() > 1:
        for tensor in tensors:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)


@_coded()
def joined(tensor: Tensor) -> Tensor:
    """Everybody's tensor, of one dimension and of any length, one behind the other."""
    if world() == 1:
        return tensor
    lengths = each(tensor.numel())
    padded = tensor.new_zeros(max(lengths))
    padded[: tensor.numel()] = tensor
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return torch.cat([p[:n] for p, n in zip(parts, lengths, strict=True)])


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbours of one type that fit together in `_BUCKET`."""
    bucket: list[Tensor] = []
    size = 0
    for t in tensors:
        if bucket and (t.dtype != bucket[0].dtype or size + t.nbytes > _BUCKET):
            yield bucket
            bucket, size = [], 0
        bucket.append(t)
        size += t.nbytes
    if bucket:
        yield bucket


# ---------------------------------------------------------------- beside the steps
def hand(key: str, value: str) -> None:
    """Something for one other process, from a thread: collectives belong to the main one."""
    _connected().set(key, value)


def handed(key: str, stopped: threading.Event) -> str:
    """What another process hands over, when it does. E088 once this one has stopped."""
    while not _connected().check([key]):
        if stopped.wait(0.02):
            raise gone(RuntimeError("a process has not written its part of a checkpoint"))
    value: bytes = _connected().get(key)
    return value.decode()


def _connected() -> dist.Store:
    return _store or dist.distributed_c10d._get_default_store()


# ------------------------------------------------------------------------- shares
def mine(count: int) -> slice:
    """This process's share of so many things in a row; shares differ by one at most.

    >>> mine(7)
    slice(0, 7, None)
    """
    n = world()
    return slice(count * rank() // n, count * (rank() + 1) // n)


def dealt(things: Sequence[T]) -> list[T]:
    """Every so many of them, as many for everybody: the last one may be done twice."""
    n = world()
    return [things[min(at + rank(), len(things) - 1)] for at in range(0, len(things), n)]


def shares(items: int, size: int, own: slice | None = None) -> list[tuple[slice, float]]:
    """A batch, or one's `own` items of it, in parts of at most `size`, each with its weight in the batch's mean.

    >>> shares(7, 4)
    [(slice(0, 4, None), 0.5714285714285714), (slice(4, 7, None), 0.42857142857142855)]
    """
    own = own or slice(0, items)
    cut = [slice(at, min(at + size, own.stop)) for at in range(own.start, own.stop, size)]
    return [(s, (s.stop - s.start) / items) for s in cut]


def parts(items: int, size: int) -> list[tuple[slice, float]]:
    """This process's share of a batch, as `shares`.

    Everybody has as many parts, which a model in shards needs: where the items do not reach, the first item is
    taken once more with no weight.
    """
    most_items = -(-items // world())
    found = shares(items, size, mine(items))
    return found + [(slice(0, 1), 0.0)] * (-(-most_items // size) - len(found))
