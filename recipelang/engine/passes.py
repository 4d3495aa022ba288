"""Forward passes of several batches at once, of a model whose weights stay on disk: each layer is read once for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn

from recipelang.engine.layers import Reached, calls_of, one_after_the_other
from recipelang.engine.offload import Offloaded
from recipelang.planning.offloaded import ROOM

Batch = Mapping[str, Tensor]
Autocast = Callable[[], AbstractContextManager[None]]


def together(disk: Offloaded | None, tokens: int) -> int:
    """How many batches of so many tokens: those whose states there is room for."""
    if disk is None:
        return 1
    width = int(getattr(disk.model.config, "hidden_size", 0) or 0) or 4096
    return max(1, ROOM // (tokens * width * 4))


def answers(model: nn.Module, disk: Offloaded | None, batches: Sequence[Batch], autocast: Autocast) -> Iterator[Any]:
    """What the model gives for each batch; within `disk.whole()`."""
    known = None if disk is None or len(batches) < 2 else _ends(disk, batches, autocast)
    for number, batch in enumerate(batches):
        yield _answer(model, batch, autocast, None if known is None or disk is None else (disk.layers, known[number]))


def _answer(
    model: nn.Module, batch: Batch, autocast: Autocast, known: tuple[Sequence[nn.Module], Tensor] | None
) -> Any:
    with nullcontext() if known is None else _passed_over(*known), autocast():
        return model(**batch)


def _ends(disk: Offloaded, batches: Sequence[Batch], autocast: Autocast) -> list[Tensor] | None:
    """What the last layer gives for each batch; none where layers give more than states, or do not follow each other."""
    states, calls = [], []
    with ExitStack() as stack:
        seen = [stack.enter_context(calls_of(layer, layer is disk.layers[-1])) for layer in disk.layers]
        for batch in batches:
            try:
                with autocast():
                    disk.model(**batch)
            except Reached:
                pass
            if not one_after_the_other(seen) or not all(each[0].plain for each in seen[:-1]):
                return None
            once = [each.pop() for each in seen]
            states.append(once[0].states)
            calls.append([one.call for one in once])
    for at, layer in enumerate(disk.layers):
        with disk.present(disk.of(layer)):
            for number, own in enumerate(calls):
                with autocast():
                    out = layer(states[number], *own[at].others, **own[at].named)
                if not isinstance(out, Tensor):
                    return None
                states[number] = out
    return states


@contextmanager
def _passed_over(layers: Sequence[nn.Module], end: Tensor) -> Iterator[None]:
    """Every layer gives what it is given, and the last one what is known already."""
    before = [vars(layer).get("forward") for layer in layers]
    for layer in layers:
        layer.forward = lambda *args, **named: args[0] if args else named["hidden_states"]
    layers[-1].forward = lambda *args, **named: end
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            del layer.forward
            if own is not None:
                layer.forward = own
