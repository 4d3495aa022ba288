"""RigL: weights are swapped at every event (arXiv 1911.11134).

Of the live weights the smallest |w| are dropped, and as many others grow where |∂L/∂w| is largest, so that a tensor
stays as sparse as it is planned. How many are swapped is in the plan: a share of the live weights that falls to 0
over the window, as half a wave of a cosine. What may grow is all that is not kept; a weight that was just dropped and
grows at once has never been away, any other one begins at 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.pruning.scores import Gradients, Reached, Score, magnitude, precise, random
from recipelang.pruning.selection import Scores


def growth(kept: Tensor, gradient: Tensor) -> Tensor:
    """What stays, in order: weights that are `kept` before all others, then by |∂L/∂w|. Flat."""
    return gradient.abs().masked_fill_(kept, torch.inf).reshape(-1)


class Rigl(Score):
    def __init__(self, names: Sequence[str], seed: int, *, fraction: float, batches: int) -> None:
        """`fraction` is in the counts of the plan."""
        super().__init__(names, seed)
        self.batches = batches
        self.slopes: list[Tensor] = []  # ∂L/∂w of each target, only within an event

    def prepare(self, weights: Sequence[nn.Parameter], gradients: Gradients) -> None:
        """The gradients of all weights, masked ones too."""
        self.slopes = [torch.zeros_like(w, dtype=precise(w)) for w in weights]
        draws = gradients(self.batches, 0, dense=True)
        for _ in Reached(self.names, weights).watch(draws):
            for total, weight in zip(self.slopes, weights, strict=True):
                if weight.grad is not None:
                    total += weight.grad
        processes.add(self.slopes)  # each process has drawn its part of the batches

    def scores(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        return magnitude.scores(weights)

    def start(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        """For tensors that are dense when it begins: the masks that training starts from are drawn."""
        pairs = zip(self.names, weights, strict=True)
        return [lambda n=n, w=w: random.scores(n, w, self.seed) for n, w in pairs]  # type: ignore[misc]

    def grown(self, kept: Sequence[Tensor]) -> list[Scores]:
        """After `prepare`: scores that add to the weights `kept` (bool) those that grow."""
        slopes, self.slopes = self.slopes, []
        return [lambda k=k, s=s: growth(k, s) for k, s in zip(kept, slopes, strict=True)]  # type: ignore[misc]
