"""SNIP: |w · ∂L/∂w|, the effect of taking a weight out to first order, once (arXiv 1810.02340).

The gradient is the mean over `batches` mini-batches of the task's loss, taken
before the first event; later events keep the same scores.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.pruning.scores import Gradients, Reached, Score, precise
from recipelang.pruning.selection import Scores
from recipelang.pruning.shards import beside, is_shard, local


class Snip(Score):
    def __init__(self, names: Sequence[str], seed: int, *, batches: int) -> None:
        super().__init__(names, seed)
        self.batches = batches
        self.effect: dict[str, Tensor] = {}

    def prepare(self, weights: Sequence[nn.Parameter], gradients: Gradients) -> None:
        if self.effect:
            return
        sums = [torch.zeros_like(local(w), dtype=precise(w)) for w in weights]
        for _ in Reached(self.names, weights).watch(gradients(self.batches, 0)):
            for total, weight in zip(sums, weights, strict=True):
                if weight.grad is not None:
                    total += local(weight.grad)
        # of copies, each process has drawn its part of the batches; of shards, each batch is drawn by all
        processes.add([s for s, w in zip(sums, weights, strict=True) if not is_shard(w)])
        with torch.no_grad():
            effects = (beside((local(w) * s / self.batches).abs_(), w) for w, s in zip(weights, sums, strict=True))
            self.effect = dict(zip(self.names, effects, strict=True))

    def scores(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        effects = (beside(self.effect[n], w) for n, w in zip(self.names, weights, strict=True))
        return [local(effect).reshape(-1).clone for effect in effects]

    def state(self) -> dict[str, Tensor]:
        return dict(self.effect)

    def remembered(self, ranked: bool, observed: bool) -> tuple[Collection[str], Collection[str]]:
        return self.names if ranked else (), ()

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.effect = dict(state)
