"""oBERT: what the loss rises by when a weight goes and its neighbours make up for it (arXiv 2203.07259).

With F the empirical Fisher information in blocks (`pruning.fisher`), taking out the
group Q raises the loss by ½ w_Qᵀ([F⁻¹]_QQ)⁻¹w_Q, for a single weight w²/(2[F⁻¹]_jj),
and the best answer of the others is w - F⁻¹E_Q([F⁻¹]_QQ)⁻¹w_Q. Groups are taken as
independent of each other, as published. A group of a pattern is a row of its tile;
rows of a tile count as independent too, which they are where a row of the tensor is
at least as long as a block.

Gradients are drawn anew at every event and nothing is kept between events, so there
is no state. When the matrices do not fit in `memory`, the weights are taken in parts
and the same gradients are drawn again for each: once for the scores and, but for the
last part, once more for the update.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.pruning import fisher
from recipelang.pruning.free_memory import free_memory
from recipelang.pruning.passes import Piece, within
from recipelang.pruning.scores import Gradients, Score, precise
from recipelang.pruning.selection import Scores

#: of the memory that is free, what the matrices may take
_SHARE = 0.8


def multipliers(inverse: Tensor, weights: Tensor, width: int) -> Tensor:
    """([F⁻¹]_QQ)⁻¹w_Q of every group of `width` neighbours: [rows, block], in the places of their weights.

    Args:
        inverse: [rows, block, block].
        weights: [rows, block], `block` a multiple of `width`.
    """
    if width == 1:
        return weights / inverse.diagonal(dim1=1, dim2=2)
    rows, block = weights.shape
    tiled = inverse.view(rows, block // width, width, block // width, width)
    own = tiled.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)  # [rows, groups, width, width]
    right = weights.view(rows, -1, width, 1)
    return torch.linalg.solve(own.double(), right.double()).to(weights.dtype).view(rows, block)


def update(inverse: Tensor, weights: Tensor, multipliers: Tensor, keep: Tensor) -> Tensor:
    """The weights after those have gone where `keep` is 0. All but `inverse` are [rows, block]."""
    moved = torch.bmm(inverse, (multipliers * (1 - keep)).unsqueeze(2)).squeeze(2)
    return (weights - moved).mul_(keep)


class Obert(Score):
    def __init__(
        self,
        names: Sequence[str],
        seed: int,
        *,
        block: int,
        gradients: int,
        batch: int,
        damp: float,
        recomputations: int,
        memory: int | None,
    ) -> None:
        super().__init__(names, seed)
        self.block, self.count, self.batch, self.damp = block, gradients, batch, damp
        self.rounds, self.memory = recomputations, memory
        self._gradients: Gradients
        self._parts: list[list[Piece]] = []
        self._multipliers: list[Tensor] = []  # of each target, flat
        self._last: Tensor | None = None  # the inverse of the last part

    def prepare(self, weights: Sequence[nn.Parameter], gradients: Gradients) -> None:
        self._gradients = gradients

    def scores(self, weights: Sequence[nn.Parameter]) -> list[Scores]:
        self._look(weights, 1)
        return [lambda w=w, m=m: (w.detach().reshape(-1) * m).div_(2) for w, m in self._pairs(weights)]  # type: ignore[misc]

    def tiles(self, weights: Sequence[nn.Parameter], size: tuple[int, int]) -> list[Scores]:
        height, width = size
        if self.block % width:
            raise ValueError(f"a block of {self.block} weights does not divide into groups of {width}")
        self._look(weights, width)

        def score(weight: Tensor, multiplier: Tensor) -> Tensor:
            of_weights = weight.detach() * multiplier.view(weight.shape)
            tiled = of_weights.reshape(weight.shape[0] // height, height, weight.shape[1] // width, width)
            return tiled.sum((1, 3)).div_(2).reshape(-1)

        return [lambda w=w, m=m: score(w, m) for w, m in self._pairs(weights)]  # type: ignore[misc]

    @torch.no_grad()
    def compensate(self, weights: Sequence[nn.Parameter], keep: Sequence[Tensor]) -> None:
        # the gradients of later parts belong to the weights as they are: none changes before all are known
        changed = [torch.empty(w.numel(), dtype=m.dtype, device=w.device) for w, m in self._pairs(weights)]
        for pieces in reversed(self._parts):
            inverse = self._inverse(weights, pieces) if self._last is None else self._last
            self._last = None
            new = update(inverse, *(_laid(t, pieces, inverse) for t in (weights, self._multipliers, keep)))
            fisher.take(new, pieces, changed)
        for weight, new in zip(weights, changed, strict=True):
            weight.copy_(new.view(weight.shape))
        self._multipliers = []

    @torch.no_grad()
    def _look(self, weights: Sequence[nn.Parameter], width: int) -> None:
        """Fill in the multipliers of all weights; the last part's inverse stays for the update."""
        self._parts = self._cut(weights)
        self._multipliers = [torch.empty(w.numel(), dtype=precise(w), device=w.device) for w in weights]
        for pieces in self._parts:
            self._last = None  # before the next one grows
            self._last = self._inverse(weights, pieces)
            found = multipliers(self._last, _laid(weights, pieces, self._last), width)
            fisher.take(found, pieces, self._multipliers)

    def _inverse(self, weights: Sequence[nn.Parameter], pieces: Sequence[Piece]) -> Tensor:
        draws = self._gradients(self.count, self.batch)
        return fisher.inverse(weights, pieces, draws, self.block, self.damp)

    def _cut(self, weights: Sequence[nn.Parameter]) -> list[list[Piece]]:
        """Parts that fit in memory, decided once an event."""
        budget = int(_SHARE * free_memory(weights[0].device)) if self.memory is None else self.memory
        budget = -processes.most(-budget)[0]  # the same parts in every process
        return within([w.numel() for w in weights], self.block, budget)

    def _pairs(self, weights: Sequence[nn.Parameter]) -> list[tuple[nn.Parameter, Tensor]]:
        return list(zip(weights, self._multipliers, strict=True))


def _laid(tensors: Sequence[Tensor], pieces: Sequence[Piece], inverse: Tensor) -> Tensor:
    """One row for each of these blocks, in their precision."""
    return fisher.lay(tensors, pieces, inverse.new_zeros(inverse.shape[:2]))
