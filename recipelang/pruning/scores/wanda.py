"""Wanda: the score of a weight is |w_ij| · ‖x_j‖₂, its size times that of the inputs it meets (arXiv 2306.11695).

The norm of input j is taken over all tokens of the calibration. Ranked within each row as published, which is to say
among the weights that make one output. No weight that stays is changed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recipelang.pruning.inputs import Gathered, Squares, not_finite
from recipelang.pruning.scores import Score, Select


def score(weight: Tensor, squares: Tensor) -> Tensor:
    """|w_ij| · (Σ x_j²)^½: [outputs, inputs], of a weight of that shape and the sums [inputs]."""
    return weight.abs().mul_(squares.sqrt().to(weight.dtype))


class Wanda(Score):
    gathers = Squares

    def fit(self, weight: nn.Parameter, inputs: Gathered, zeros: int, live: Tensor, select: Select) -> Tensor:
        sums = inputs.sums if inputs.tokens else torch.ones_like(inputs.sums)  # of an expert that no token reached
        if not bool(sums.isfinite().all()):  # NaN has no rank
            raise not_finite()
        return select(score(weight.detach(), sums), zeros, live)
