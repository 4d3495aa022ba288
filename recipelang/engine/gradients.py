"""Gradients that scores ask for between steps: of the task's loss alone, without dropout, leaving no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch

from recipelang import processes
from recipelang.pruning.shards import is_shard
from recipelang.runtime.state import State
from recipelang.tasks import question_answering as task


def gradients(
    state: State,
    features: task.Features,
    batches: int,
    size: int,
    seed: int,
    autocast: Callable[[], AbstractContextManager[None]],
) -> Iterator[None]:
    """After each mini-batch its mean gradient lies in `.grad`, masked weights' zeroed; afterwards there is none.

    Examples are drawn without replacement while they last. Of several processes each takes its share of the batches;
    where they hold a model in shards, its share of every batch.
    """
    order = np.random.default_rng(seed).permutation(len(features))
    device = next(state.model.parameters()).device
    shards = is_shard(next(state.model.parameters()))
    was_training = state.model.training
    state.model.eval()
    try:
        for number in range(batches) if shards else range(batches)[processes.mine(batches)]:
            rows = order[np.arange(number * size, (number + 1) * size) % len(order)]
            batch = {k: torch.from_numpy(v).to(device) for k, v in task.collate(features, rows).items()}
            state.model.zero_grad(set_to_none=True)
            for part, share in processes.parts(size, size) if shards else [(slice(None), 1.0)]:
                with torch.enable_grad(), autocast():
                    loss = state.model(**{k: v[part] for k, v in batch.items()}).loss * share
                loss.backward()
            state.masks.apply_gradients()
            yield
    finally:
        state.model.zero_grad(set_to_none=True)
        state.model.train(was_training)
