"""The training loop of one stage. Read it from top to bottom; `runtime.event` has it in pseudocode."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from accelerate import Accelerator

from recipelang.engine.order import batches
from recipelang.plan.types import StagePlan
from recipelang.runtime.event import Event
from recipelang.runtime.state import Modifier, State, fire
from recipelang.source import RecipeError, fail
from recipelang.tasks import question_answering as task

#: checkpoint at least this often, in seconds, where the recipe does not say
CHECKPOINT_SECONDS = 600.0


def train(
    stage: StagePlan,
    state: State,
    features: task.Features,
    modifiers: Sequence[Modifier],
    accelerator: Accelerator,
    autocast: Callable[[], AbstractContextManager[None]],
    *,
    shuffle: bool,
    order_seed: int,
    until: int,
    after_step: Callable[[float, bool], None],
    by_length: bool = False,
) -> None:
    """Steps `state.step..until-1`, then `END` when the stage is whole.

    `after_step(loss, due)` is told of every step; `due` says that a checkpoint is.
    """
    model, optimizer = state.model, state.optimizer
    saved = time.monotonic()
    asked = {name: True for m in modifiers for name in m.asks}
    model.train()
    forward = torch.compile(model, dynamic=True) if stage.compile else model  # the same parameters under both
    if state.step == 0:
        fire(Event.START, modifiers, state)
    lengths = features.lengths if by_length else None
    for rows in batches(stage, len(features), shuffle, order_seed, state.step, until, lengths):
        fire(Event.STEP_START, modifiers, state)
        loss = 0.0
        # padded as one batch, then cut: padding is part of the softmax over positions
        whole = {k: torch.from_numpy(v).to(accelerator.device) for k, v in task.collate(features, rows).items()}
        for first in range(0, len(rows), stage.micro_batch):
            state.batch = {k: v[first : first + stage.micro_batch] for k, v in whole.items()}
            state.rows = rows[first : first + stage.micro_batch]
            with autocast():
                state.outputs = forward(**state.batch, **asked)
                state.loss = state.outputs.loss
                fire(Event.LOSS, modifiers, state)
            share = len(state.batch["input_ids"]) / len(rows)  # a mean over the batch, however it is cut
            accelerator.backward(state.loss * share)
            loss += float(state.loss.detach()) * share
        if not math.isfinite(loss):
            raise _not_finite(f"the loss is {loss}", state.step, stage.name)
        fire(Event.GRADIENTS, modifiers, state)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), math.inf if stage.clip is None else stage.clip)
        if not math.isfinite(norm):
            raise _not_finite(f"the norm of the gradients is {float(norm)}", state.step, stage.name)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        fire(Event.STEP_END, modifiers, state)
        state.step += 1
        due = state.step % (stage.checkpoint_every or stage.steps_per_epoch) == 0
        if stage.checkpoint_every is None and time.monotonic() - saved > CHECKPOINT_SECONDS:
            due = True
        if due:
            saved = time.monotonic()
        after_step(loss, due)
    if state.step == stage.steps:
        fire(Event.END, modifiers, state)


def _not_finite(what: str, step: int, stage: str) -> RecipeError:
    """Found before the weights take it in, so the last checkpoint is good."""
    return fail(
        "E082",
        f"{what} at step {step:,} of stage `{stage}`",
        help="lower the learning rate, or let it rise from 0 at first",
    )
