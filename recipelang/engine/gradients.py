"""Gradients that scores ask for between steps: of the task's loss alone, without dropout, leaving no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import numpy as np
import torch

from recipelang import processes
from recipelang.engine.delivery import delivered
from recipelang.engine.seeds import stream
from recipelang.engine.shares import scaled, weights
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
    dense: bool = False,
) -> Iterator[None]:
    """After each mini-batch its mean gradient lies in `.grad`; afterwards there is none.

    Those of masked weights are zeroed, unless they are to be `dense`. Examples are drawn without replacement while
    they last; no more than `part` of them are in one forward pass, which changes nothing but the memory taken. Of
    several processes each takes its share of the batches; where they hold a model in shards, its share of every batch.
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
            counted = weights(inputs)
            shares = processes.parts(size, part) if shards else processes.shares(size, part)
            state.model.zero_grad(set_to_none=True)
            for (cut, share), batch in zip(shares, delivered(inputs, device, [c for c, _ in shares]), strict=True):
                with torch.enable_grad():
                    with autocast():
                        loss = scaled(state.model(**batch).loss, counted, cut)
                    (loss * share).backward()
            if not dense:
                state.masks.apply_gradients()
            yield
    finally:
        state.model.zero_grad(set_to_none=True)
        state.model.train(was_training)
