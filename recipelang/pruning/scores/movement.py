"""Movement: weights that move away from zero stay (arXiv 2005.07683).

The score is the sum over the steps of the stage of -w · ∂L/∂w, the change that a
gradient step makes to |w|, up to the learning rate. A masked weight is zero, so
it gathers nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from recipelang.pruning.scores import Score
from recipelang.pruning.selection import Scores


class Movement(Score):
    observes = True

    def __init__(self, args: Mapping[str, object], names: Sequence[str], seed: int) -> None:
        super().__init__(args, names, seed)
        self.moved: dict[str, Tensor] = {}

    @torch.no_grad()
    def observe(self, weights: Sequence[nn.Parameter]) -> None:
        for name, weight in zip(self.names, weights, strict=True):
            if weight.grad is not None:
                moved = self.moved.setdefault(name, torch.zeros_like(weight))
                moved.addcmul_(weight.detach(), weight.grad, value=-1.0)

    def scores(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        return [
            self.moved.get(name, torch.zeros_like(weight)).reshape(-1).clone
            for name, weight in zip(self.names, weights, strict=True)
        ]

    def state(self) -> dict[str, Tensor]:
        return dict(self.moved)

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.moved = dict(state)
