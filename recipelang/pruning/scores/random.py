"""Random: uniform scores from the recipe's seed, one stream a tensor; the floor that others are measured against."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recipelang.pruning.scores import Score
from recipelang.pruning.selection import Scores
from recipelang.pruning.shards import of_weight


def scores(name: str, weight: Tensor, seed: int) -> Tensor:
    """One uniform number a weight, flat: the same for a name and seed at every event, on every device."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    drawn = torch.rand(weight.numel(), generator=generator).view(weight.shape)
    return of_weight(drawn, weight).reshape(-1).to(weight.device)


class Random(Score):
    def scores(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        pairs = zip(self.names, weights, strict=True)
        return [lambda n=n, w=w: scores(n, w, self.seed) for n, w in pairs]  # type: ignore[misc]
