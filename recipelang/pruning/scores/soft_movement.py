"""Soft movement: scores that are learned with the weights (arXiv 2005.07683, soft movement pruning).

Every weight has a score S, from 0 on. The forward pass is that of w · [σ(S) > τ], and the step function is taken
for straight in the backward pass: ∂L/∂S = ∂L/∂w · w. A penalty λ Σ σ(S) pulls all scores down, and Adam moves them,
at a rate of their own.

As published τ is given, and λ decides how sparse a model becomes. Here the schedule says how many weights are zero,
and τ is what makes it so: at an event the weights of lowest σ(S) go, exactly as many as are planned, until the next
event. And a masked weight is zero and stays so, where the published form keeps its value for a return; its score
learns nothing more and falls with the penalty.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from recipelang.pruning.scores import Score, precise
from recipelang.pruning.selection import Scores
from recipelang.pruning.shards import beside, local


def slope(learned: Tensor, weight: Tensor, gradient: Tensor | None, penalty: float) -> Tensor:
    """∂/∂S of the loss, taken straight through the mask, and of `penalty` · Σ σ(S); shaped as `learned`."""
    soft = learned.sigmoid()
    pulled = (soft - soft * soft).mul_(penalty)
    return pulled if gradient is None else pulled.addcmul_(gradient.to(pulled.dtype), weight.to(pulled.dtype))


class SoftMovement(Score):
    heeds = True

    def __init__(self, names: Sequence[str], seed: int, *, learning_rate: float, penalty: float) -> None:
        super().__init__(names, seed)
        self.rate, self.penalty = learning_rate, penalty
        self.learned: dict[str, Tensor] = {}  # no less than single precision
        self.optimizer: torch.optim.Optimizer | None = None
        self.like: dict[str, nn.Parameter] = {}  # the weights that it was last asked about
        self.kept: dict[str, Tensor] = {}  # of a checkpoint, until it is asked again

    @torch.no_grad()
    def observe(self, weights: Sequence[nn.Parameter]) -> None:
        self._begin(weights)
        assert self.optimizer is not None
        for name, weight in zip(self.names, weights, strict=True):
            gradient = None if weight.grad is None else local(weight.grad)
            self.learned[name].grad = slope(self.learned[name], local(weight.detach()), gradient, self.penalty)
        # as a scaler of gradients has a fused optimizer take no step
        self.optimizer.found_inf = None if self.broken is None else self.broken.float()  # type: ignore[attr-defined]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def scores(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        """S itself: σ keeps the order, and rounds large scores to the same number."""
        self._begin(weights)
        return [self.learned[name].detach().reshape(-1).clone for name in self.names]

    def _begin(self, weights: Sequence[nn.Parameter]) -> None:
        """At the first look: from 0, or from what was kept, of which a shard takes its rows."""
        self.like = dict(zip(self.names, weights, strict=True))
        if self.optimizer is not None:
            return
        kept, self.kept = self.kept, {}
        zeros = {n: torch.zeros(local(w).shape, dtype=precise(w), device=w.device) for n, w in self.like.items()}
        each = {where: local(beside(value, self.like[where.partition("/")[0]])) for where, value in kept.items()}
        self.optimizer = self._take({n: each[n].clone() if kept else zero for n, zero in zeros.items()})
        for where, value in each.items():
            name, _, key = where.partition("/")
            if key:
                self.optimizer.state[self.learned[name]][key] = value

    def _take(self, learned: dict[str, Tensor]) -> torch.optim.Optimizer:
        self.learned = {name: score.requires_grad_() for name, score in learned.items()}
        return torch.optim.Adam(self.learned.values(), lr=self.rate, fused=True)

    def state(self) -> dict[str, Tensor]:
        if self.optimizer is None:
            return dict(self.kept)
        found = {name: score.detach() for name, score in self.learned.items()}
        for name, score in self.learned.items():
            found |= {f"{name}/{key}": value for key, value in self.optimizer.state[score].items()}
        return {where: beside(value, self.like[where.partition("/")[0]]) for where, value in found.items()}

    def remembered(self, ranked: bool, observed: bool) -> tuple[Collection[str], Collection[str]]:
        moments = (f"{name}/{key}" for name in self.names for key in ("exp_avg", "exp_avg_sq", "step"))
        return (*self.names, *moments) if observed else (), ()

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.optimizer, self.learned, self.kept = None, {}, dict(state)
