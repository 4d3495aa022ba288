"""Magnitude: the score of a weight is its absolute value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from recipelang.pruning.scores import Score
from recipelang.pruning.selection import Scores
from recipelang.pruning.shards import local


def scores(weights: Sequence[Tensor]) -> list[Callable[[], Tensor]]:
    """|w| of each weight on demand, flat, in one buffer for all that share a type: a copy of the largest, not of all."""
    buffers: dict[tuple[torch.dtype, torch.device], Tensor] = {}
    for w in weights:
        key = (w.dtype, w.device)
        if key not in buffers or buffers[key].numel() < w.numel():
            buffers[key] = torch.empty(w.numel(), dtype=w.dtype, device=w.device)

    def absolute(w: Tensor) -> Tensor:
        return torch.abs(w.detach().reshape(-1), out=buffers[w.dtype, w.device][: w.numel()])

    return [lambda w=w: absolute(w) for w in weights]  # type: ignore[misc]


class Magnitude(Score):
    def scores(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        return scores([local(w) for w in weights])
