"""Gradients that scores ask for between steps: of the task's loss alone, smoothed and weighted as in training,
without dropout, leaving no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import numpy as np
import torch
from torch import nn

from recipelang import processes
from recipelang.engine.delivery import delivered
from recipelang.engine.losses import MODEL_LOSS, ModelLoss
from recipelang.engine.precision import BACKOFF, LEAST, START, overflowed, unscale
from recipelang.engine.seeds import stream
from recipelang.engine.shares import scaled
from recipelang.modifiers.modifier import State
from recipelang.pruning.shards import is_shard
from recipelang.tasks import Features
from recipelang.tasks.mixture import Mixed


def gradients(
    state: State,
    features: Features,
    batches: int,
    size: int,
    part: int,
    seed: int,
    autocast: Callable[[], AbstractContextManager[None]],
    *,
    loss_of: ModelLoss = MODEL_LOSS,
    dense: bool = False,
    narrow: bool = False,
) -> Iterator[None]:
    """After each mini-batch its mean gradient lies in `.grad`; afterwards there is none.

    Those of masked weights are zeroed, unless they are to be `dense`. Examples are drawn without replacement while
    they last; no more than `part` of them are in one forward pass, which changes nothing but the memory taken. Of
    several processes each takes its share of the batches; where they hold a model in shards, its share of every batch.

    `narrow`: in fp16 the loss is scaled, and a batch that overflows is done again with half the scale. E171 where none helps.
    """
    if isinstance(features, Mixed):
        order = features.mixture.rows(0, batches * size, partial(stream, seed))
    else:
        order = np.random.default_rng(seed).permutation(len(features))
    device = next(state.model.parameters()).device
    shards = is_shard(next(state.model.parameters()))
    was_training = state.model.training
    state.model.eval()
    try:
        for number in range(batches) if shards else range(batches)[processes.mine(batches)]:
            rows = order[np.arange(number * size, (number + 1) * size) % len(order)]
            # padded as one batch, then cut, as in training
            inputs = features.batch(rows, draw=seed + number)
            counted = loss_of.counts(inputs)
            shares = processes.parts(size, part) if shards else processes.shares(size, part)
            parts = delivered(inputs, device, [c for c, _ in shares])
            for scale in _scales(state.model, device) if narrow else (1.0,):
                state.model.zero_grad(set_to_none=True)
                for (cut, share), batch in zip(shares, parts, strict=True):
                    with torch.enable_grad():
                        with autocast():
                            loss = scaled(loss_of(state.model(**loss_of.inputs(batch)), batch), counted, cut)
                        (loss * (share * scale)).backward()
            if not dense:
                state.masks.apply_gradients()
            yield
    finally:
        state.model.zero_grad(set_to_none=True)
        state.model.train(was_training)


def _scales(model: nn.Module, device: torch.device) -> Iterator[float]:
    """One after the other until the gradients that a backward pass has left are finite, scaled back."""
    scale = START
    while scale >= LEAST:
        yield scale
        if not unscale((p.grad for p in model.parameters()), torch.full((), scale, device=device)):
            return
        scale *= BACKOFF
    raise overflowed("while gradients are gathered for a score", finite=True)
