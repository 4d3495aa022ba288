"""Magnitude, but the `k` largest weights of each row are ranked above all others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recipelang.pruning.scores import Score


class TopK(Score):
    def __init__(self, names: Sequence[str], seed: int, *, k: int) -> None:
        super().__init__(names, seed)
        self.k = k

    def scores(self, weights: Sequence[nn.Parameter]) -> list:
        return [lambda w=w: self._ranked(w.detach()) for w in weights]

    def _ranked(self, weight: Tensor) -> Tensor:
        """|w|, and more by the largest |w| of all for the first of each row; flat."""
        size = weight.abs()
        first = size.topk(min(self.k, size.shape[1]), dim=1).indices
        return (size + torch.zeros_like(size).scatter_(1, first, float(size.max()) + 1)).reshape(-1)
