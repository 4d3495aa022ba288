"""A batch cut into parts: of a task that counts tokens, the mean over all of them and not over those of each part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor


def weights(batch: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Labelled tokens of every item; none where all have as many."""
    labels = batch.get("labels")
    if labels is None or labels.ndim < 2:
        return None
    counts: np.ndarray = (labels >= 0).sum(tuple(range(1, labels.ndim)))
    return None if (counts == counts[0]).all() else counts


def scaled(loss: Tensor, counts: np.ndarray | None, part: slice) -> Tensor:
    """A part's loss, so that its share of the items times this is its share of the tokens' mean loss."""
    if counts is None:
        return loss
    own = counts[part]
    return loss * float(own.mean() / counts.mean())
