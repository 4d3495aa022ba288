"""Which items a step draws: a pure function of the step, so a resumed run draws the very next batch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from recipelang.engine.seeds import stream
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.types import StagePlan
from recipelang.tasks.mixture import Mixture

#: batches of like length are cut from the items of so many batches, as transformers' sampler of this name does
_TOGETHER = 50


def order_seed(stage: StagePlan, data: DataPlan) -> int:
    """What the order of examples is drawn with."""
    return stage.seed if data.seed is None else data.seed


def batches(
    stage: StagePlan,
    items: int,
    shuffle: bool,
    seed: int,
    first: int,
    last: int,
    lengths: np.ndarray | None = None,
    mixture: Mixture | None = None,
) -> Iterator[np.ndarray]:
    """Rows of steps `first..last-1`. With the `lengths` of the items, those of a batch are of like length. An epoch of
    a mixture is as many rows as its sources have together."""
    epoch, order = -1, np.arange(items)
    for step in range(first, last):
        if step // stage.steps_per_epoch != epoch:
            epoch = step // stage.steps_per_epoch
            random = np.random.default_rng(stream(seed, stage.name, "order", epoch))
            if mixture is not None:
                draw = partial(stream, seed, stage.name) if shuffle else None
                order = mixture.rows(epoch * items, (epoch + 1) * items, draw)
            elif shuffle:
                order = random.permutation(items)
            if shuffle:
                order = order if lengths is None else by_length(order, lengths, stage.batch, random)
        at = step % stage.steps_per_epoch * stage.batch
        yield order[at : at + stage.batch]


def by_length(order: np.ndarray, lengths: np.ndarray, batch: int, random: np.random.Generator) -> np.ndarray:
    """The same items so that every batch holds neighbours in length; batches in a random order.

    Items are sorted within pieces of `_TOGETHER` batches, so epochs still differ in who is with whom. The batch
    with the longest item comes first: what does not fit into the memory shows at once. A rest stays at the end.
    """
    size = batch * _TOGETHER
    pieces = [order[i : i + size] for i in range(0, len(order), size)]
    ranked = np.concatenate([p[np.argsort(-lengths[p], kind="stable")] for p in pieces])
    whole = len(order) // batch
    if not whole:
        return ranked
    mixed = random.permutation(whole)
    longest = int(np.argmax(lengths[ranked[: whole * batch]])) // batch
    mixed = np.concatenate([[longest], mixed[mixed != longest]])
    return np.concatenate([ranked[: whole * batch].reshape(whole, batch)[mixed].reshape(-1), ranked[whole * batch :]])


def drawn(
    stage: StagePlan,
    items: int,
    shuffle: bool,
    seed: int,
    until: int,
    lengths: np.ndarray | None = None,
    mixture: Mixture | None = None,
) -> np.ndarray:
    """The rows that steps `0..until-1` draw, sorted."""
    if until >= stage.steps_per_epoch and mixture is None:
        return np.arange(items)
    return np.unique(np.concatenate([*batches(stage, items, shuffle, seed, 0, until, lengths, mixture)]))
