"""The training loop of one stage. Read it from top to bottom; `modifiers.modifier` has it in pseudocode."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from recipelang import processes
from recipelang.engine.ahead import ahead
from recipelang.engine.delivery import delivered
from recipelang.engine.losses import MODEL_LOSS, ModelLoss
from recipelang.engine.order import batches
from recipelang.engine.seeds import stream
from recipelang.engine.shares import scaled
from recipelang.engine.streaming import Stream
from recipelang.engine.watch import Watch
from recipelang.modifiers.modifier import Event, Modifier, State, fire
from recipelang.planning.types import StagePlan
from recipelang.pruning import shards
from recipelang.source import RecipeError
from recipelang.tasks import Features
from recipelang.tasks.mixture import Mixed

#: where the recipe does not say, a checkpoint is written at least this often, in seconds
CHECKPOINT_SECONDS = 600.0
#: and after an epoch that ends no sooner than this after the last one
EPOCH_SECONDS = 60.0
#: before the names of what modifiers fetched, which crosses with the inputs
FETCHED = "fetched/"
T = TypeVar("T")


def train(
    stage: StagePlan,
    state: State,
    features: Features | Stream,
    modifiers: Sequence[Modifier],
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[None]],
    *,
    shuffle: bool,
    order_seed: int,
    until: int,
    after_step: Callable[[Watch, bool], bool],
    over: bool = False,
    by_length: bool = False,
    on_lack: Callable[[Watch], object] = lambda watch: None,
    loss_of: ModelLoss = MODEL_LOSS,
) -> None:
    """Steps `state.step..until-1`, then `END` when the stage is whole.

    `after_step(watch, due)` is called after every step, and says whether the stage is over before its last one, as `over`
    does of a stage that goes on from there; `due` says that a checkpoint is. `on_lack(watch)` is called where
    the batch of the next step cannot be had, before that ends the stage. Nothing here waits for the
    device: it asks the `watch` for losses when it wants them.
    """
    model, optimizer = state.model, state.optimizer
    saved = time.monotonic()
    asked = {name: True for m in modifiers for name in m.asks}
    trained = _trained(model, optimizer)
    model.train()
    forward = _forward(model, stage)
    if state.step == 0:
        fire(Event.START, modifiers, state)
    fed = _fed(stage, features, (state.step, until), order_seed, shuffle, by_length)
    with Watch(stage.name, device) as watch, closing(fed) as each:
        for (_, rows), inputs in _until_lack(each, lambda: on_lack(watch)):
            fire(Event.STEP_START, modifiers, state)
            if state.model is not model:  # it has become smaller
                model, trained, forward = state.model, _trained(state.model, optimizer), _forward(state.model, stage)
            counted = loss_of.counts(inputs)
            kept = {FETCHED + k: v for m in modifiers for k, v in m.fetch(rows, inputs).items()}
            shares = processes.parts(len(rows), stage.micro_batch)  # of a mean, however it is cut
            parts = delivered({**inputs, **kept}, device, [cut for cut, _ in shares], counted=not stage.compile)
            losses = []
            for (cut, share), part in zip(shares, parts, strict=True):
                state.batch = {k: v for k, v in part.items() if k in inputs}
                state.fetched = {k.removeprefix(FETCHED): v for k, v in part.items() if k in kept}
                with autocast():
                    state.outputs = forward(**loss_of.inputs(state.batch), **asked)
                    state.loss = scaled(loss_of(state.outputs, state.batch), counted, cut)
                    fire(Event.LOSS, modifiers, state)
                scale = share if state.scale is None else state.scale * share
                state.outputs = None  # the backward pass needs no logits, and makes three tensors of their size
                (state.loss * scale).backward()
                losses.append(state.loss.detach().to(watch.precise) * share)
                state.loss = None
            processes.add(
                [g for group in optimizer.param_groups for p in group["params"] if (g := _of_a_copy(p)) is not None]
            )
            fire(Event.GRADIENTS, modifiers, state)
            norm = _clip(trained, stage.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            fire(Event.STEP_END, modifiers, state)
            loss = functools.reduce(torch.add, losses)
            watch.note(state.step, loss, norm, state.sparsity, state.broken, state.scale)
            state.step += 1
            due = _due(stage, state.step, time.monotonic() - saved)
            if due:
                saved = time.monotonic()
            if over := after_step(watch, due):
                break
        if over or state.step == stage.steps:
            fire(Event.END, modifiers, state)


def _fed(
    stage: StagePlan, features: Features | Stream, steps: tuple[int, int], seed: int, shuffle: bool, by_length: bool
) -> Generator[tuple[tuple[int, np.ndarray], dict[str, np.ndarray]]]:
    """The inputs of every step, with its number and its rows."""
    if isinstance(features, Stream):
        return ahead(features.drawn(*steps), lambda each: features.batch(each[0]))

    def batch(step_and_rows: tuple[int, np.ndarray]) -> dict[str, np.ndarray]:
        step, rows = step_and_rows
        # padded as one batch, then cut: padding is part of the softmax over positions
        return features.batch(rows, draw=stream(seed, stage.name, "masked", step))

    lengths = features.lengths if by_length else None
    mixture = features.mixture if isinstance(features, Mixed) else None
    return ahead(enumerate(batches(stage, len(features), shuffle, seed, *steps, lengths, mixture), steps[0]), batch)


def _until_lack(each: Iterator[T], lack: Callable[[], object]) -> Iterator[T]:
    """`lack` is called where one cannot be had; other processes may have theirs, and wait in a step."""
    try:
        while (found := next(each, None)) is not None:
            yield found
    except RecipeError:
        if processes.world() == 1:
            lack()
        raise


def _due(stage: StagePlan, step: int, seconds: float) -> bool:
    """Whether a checkpoint is, so long after the last one; one clock for all processes."""
    if stage.checkpoint_every is not None:
        return step % stage.checkpoint_every == 0
    if stage.checkpoint_seconds is not None:
        most = stage.checkpoint_seconds
    else:
        most = EPOCH_SECONDS if step % stage.steps_per_epoch == 0 else CHECKPOINT_SECONDS
    return processes.main() and seconds >= most


def _forward(model: nn.Module, stage: StagePlan) -> Callable[..., Any]:
    """The same parameters, compiled or not."""
    return torch.compile(model, dynamic=True) if stage.compile else model


def _trained(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Of the model, then what is trained beside it: projections onto a teacher's states."""
    own = dict.fromkeys(model.parameters())
    return [*own, *(p for group in optimizer.param_groups for p in group["params"] if p not in own)]


def _clip(weights: list[nn.Parameter], most: float | None) -> torch.Tensor:
    """Scale all gradients so that their common norm is `most` at the most; the norm before. Shards have it summed up."""
    if most is None and not any(map(shards.is_shard, weights)):
        return get_total_norm([w.grad for w in weights if w.grad is not None])
    most = math.inf if most is None else most
    kinds = [[w for w in weights if shards.is_shard(w)], [w for w in weights if not shards.is_shard(w)]]
    if not all(kinds):
        return shards.whole(torch.nn.utils.clip_grad_norm_(weights, most))
    norms = [shards.whole(get_total_norm([w.grad for w in kind if w.grad is not None])) for kind in kinds]
    norm = torch.stack(norms).norm()
    for kind in kinds:
        clip_grads_with_norm_(kind, most, norm)
    return norm


def _of_a_copy(weight: torch.Tensor) -> torch.Tensor | None:
    """Its gradient, of this process's part of the batch; that of a shard has been summed up on its way."""
    return None if shards.is_shard(weight) else weight.grad
