"""Redrawn movement: scores that are learned, from which masks are drawn anew (arXiv 2005.07683, movement pruning).

Every weight has a score S, from 0 on. The forward pass is that of W ⊙ M, where M keeps the highest scores, as many as are
planned. In the backward pass M is taken straight through: ∂L/∂S = ∂L/∂(W ⊙ M) ⊙ W, of masked weights too, whose W is kept;
∂L/∂W = ∂L/∂(W ⊙ M) ⊙ M. Adam moves the scores, at a rate of their own. `modifiers.drawn` keeps W and draws M.
"""

from __future__ import annotations

from collections.abc import Sequence

from recipelang.pruning.scores.soft_movement import SoftMovement


class RedrawnMovement(SoftMovement):
    """The scores of soft movement without a penalty; whoever calls `observe` shows W as it is, not W ⊙ M."""

    def __init__(self, names: Sequence[str], seed: int, *, learning_rate: float) -> None:
        super().__init__(names, seed, learning_rate=learning_rate, penalty=0.0)
