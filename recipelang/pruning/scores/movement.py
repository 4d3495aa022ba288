"""Movement: weights that move away from zero stay (the score of arXiv 2005.07683, with masks that only grow).

The score is the sum over the steps of the stage of -w · ∂L/∂w, the change that a
gradient step makes to |w|, up to the learning rate. A masked weight is zero, so
it gathers nothing more, and stays masked. In the paper the masks are drawn anew from
the scores in every forward pass, weights behind a mask are kept and trained, and return.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from recipelang.pruning.scores import Score, precise
from recipelang.pruning.selection import Scores
from recipelang.pruning.shards import beside, local


class Movement(Score):
    heeds = True

    def __init__(self, names: Sequence[str], seed: int) -> None:
        super().__init__(names, seed)
        self.moved: dict[str, Tensor] = {}

    @torch.no_grad()
    def observe(self, weights: Sequence[nn.Parameter]) -> None:
        for name, weight in zip(self.names, weights, strict=True):
            if weight.grad is not None:
                here, grad = local(self._moved(name, weight)), local(weight.grad)
                if self.broken is not None:
                    grad = grad.where(~self.broken, 0.0)
                here.addcmul_(local(weight.detach()).to(here.dtype), grad.to(here.dtype), value=-1.0)

    def _moved(self, name: str, weight: nn.Parameter) -> Tensor:
        known = self.moved.get(name)
        self.moved[name] = torch.zeros_like(weight, dtype=precise(weight)) if known is None else beside(known, weight)
        return self.moved[name]

    def scores(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        return [
            local(self._moved(name, weight)).reshape(-1).clone for name, weight in zip(self.names, weights, strict=True)
        ]

    def state(self) -> dict[str, Tensor]:
        return dict(self.moved)

    def remembered(self, ranked: bool, observed: bool) -> tuple[Collection[str], Collection[str]]:
        """A target that no gradient has reached is there once it was ranked."""
        return (self.names, ()) if ranked else ((), self.names if observed else ())

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.moved = dict(state)
