"""ALPS: weights and zeros are found together, by alternating directions (ADMM; arXiv 2406.07831, after 2401.02938).

The layer's outputs XŴᵀ are to be matched by a W that has the zeros of a pattern:

    min ½ tr((W - Ŵ) H (W - Ŵ)ᵀ)   with W = D and D of the pattern,   H = XᵀX + λI.

With the multipliers V and the penalty ρ, an iteration is

    W ← (ŴH - V + ρD) (H + ρI)⁻¹
    D ← the weights of W + V/ρ that the pattern keeps, the largest; the others are zero
    V ← V + ρ (W - D).

D and V/ρ share no place: both lie in T = W + V/ρ, D where a weight stays, V/ρ where it goes. Every third iteration ρ
grows, the faster the more weights changed sides since the last time, and the end is where none did. Then the weights
that stay are improved with the zeros as they are, each row by steps of conjugate gradients from D.

Beforehand columns are scaled so that the diagonal of H is 1: what is ranked is a weight times the norm of its input,
and conjugate gradients need no other preconditioner. All of it is in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recipelang.pruning.inputs import Gathered, Gram, not_finite
from recipelang.pruning.scores import Score, Select
from recipelang.source import fail

#: iterations between two looks at the weights that changed sides
PERIOD = 3
#: at this share of the kept weights or more the penalty grows by this factor; below all of them by the last
GROWTH = ((0.1, 1.3), (0.005, 1.2), (0.0, 1.1))
#: a row of squared residuals that shrank to this share is solved; a direction of less curvature than this is flat
SOLVED, FLAT = 1e-24, 1e-13


def scaled(gram: Tensor, damp: float) -> tuple[Tensor, Tensor]:
    """H with a diagonal of ones, [inputs, inputs], and the square roots of its diagonal before, in double precision.

    H = gram + damp · mean(diag) · I; where no input is ever other than zero, it is the identity.

    Raises:
        RecipeError: E082 where an input is not finite.
    """
    h = gram.to(torch.float64, copy=True)
    mean = float(h.diagonal().mean())
    if not math.isfinite(mean):
        raise not_finite()
    h.diagonal().add_(damp * mean if mean > 0 else 1.0)
    roots = h.diagonal().sqrt()
    h.div_(roots).div_(roots[:, None])
    h.diagonal().fill_(1.0)
    return h, roots


def search(
    weight: Tensor, h: Tensor, zeros: int, live: Tensor, select: Select, *, penalty: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """D, [outputs, inputs], and its keep-mask, from a weight and an H that are scaled, both in double precision."""
    wanted = weight @ h
    keep = select(weight.abs(), zeros, live)
    both, before = weight * keep, keep  # T: without multipliers yet, D is the weights that stay and V/ρ is 0
    sides = torch.empty_like(both)  # one place for all iterations: pieces that come and go leave holes in the heap
    kept = keep.numel() - zeros
    inverse = _inverse(h, penalty)
    for iteration in range(1, iterations + 1):
        # ŴH - V + ρD; then W + V/ρ
        torch.mul(both, penalty, out=sides)
        torch.where(keep, sides, sides.neg(), out=sides).add_(wanted)
        both.masked_fill_(keep, 0.0).addmm_(sides, inverse)
        keep = select(torch.abs(both, out=sides), zeros, live)
        if iteration % PERIOD:
            continue
        changed = int((keep ^ before).count_nonzero())
        if not changed:
            break
        before = keep
        larger = penalty * next(by for share, by in GROWTH if changed >= share * kept)
        torch.mul(both, penalty / larger, out=sides)
        torch.where(keep, both, sides, out=both)  # V stays, so V/ρ shrinks
        penalty = larger
        _inverse(h, penalty, inverse)
    return both.mul_(keep), keep


def refine(weight: Tensor, start: Tensor, h: Tensor, keep: Tensor, steps: int) -> Tensor:
    """The weights that stay, nearer to min tr((W - Ŵ) H (W - Ŵ)ᵀ) after so many steps from `start`; H has ones on its
    diagonal. Every row is a system of its own."""
    found = start.clone()
    left = torch.mm(weight - found, h).mul_(keep)
    ahead, bent, size = left.clone(), torch.empty_like(left), left.square().sum(1, keepdim=True)
    solved = size * SOLVED
    for _ in range(steps):
        torch.mm(ahead, h, out=bent).mul_(keep)
        curve = (ahead * bent).sum(1, keepdim=True)
        # what is solved already, or has no outputs to speak of, is left as it is: beyond it lie rounding errors
        moves = (size > solved) & (curve > FLAT * ahead.square().sum(1, keepdim=True))
        pace = torch.where(moves, size / curve, 0.0)
        found.addcmul_(pace, ahead)
        left.addcmul_(pace, bent, value=-1)
        now = left.square().sum(1, keepdim=True)
        ahead.mul_(torch.where(moves, now / size, 0.0)).add_(left)
        size = now
    return found


def _inverse(h: Tensor, penalty: float, into: Tensor | None = None) -> Tensor:
    """(H + ρI)⁻¹, without another matrix beside it."""
    if into is None:
        into = torch.empty_strided(h.shape, (1, len(h)), dtype=h.dtype, device=h.device)  # as LAPACK has them
    failed = torch.empty((), dtype=torch.int32, device=h.device)
    into.copy_(h).diagonal().add_(penalty)
    torch.linalg.cholesky_ex(into, out=(into, failed))
    if int(failed):
        help = "use more samples, or raise `damp` or `penalty`"
        raise fail("E078", f"`penalty = {penalty:g}` leaves a matrix that cannot be inverted", help=help)
    return torch.cholesky_inverse(into, out=into)


class Alps(Score):
    gathers = Gram

    def __init__(
        self, names: Sequence[str], seed: int, *, damp: float, penalty: float, iterations: int, refinements: int
    ) -> None:
        super().__init__(names, seed)
        self.damp, self.penalty, self.iterations, self.refinements = damp, penalty, iterations, refinements

    @torch.no_grad()
    def fit(self, weight: nn.Parameter, inputs: Gathered, zeros: int, live: Tensor, select: Select) -> Tensor:
        assert isinstance(inputs, Gram)
        if not inputs.tokens:  # of an expert that no token reached: there are no outputs to match
            return select(weight.detach().abs(), zeros, live)
        if inputs.factor is None:  # matrices that read the same share it, and nothing else asks for the sums
            inputs.factor, inputs.roots = scaled(inputs.sums, self.damp)
            inputs.sums = inputs.sums.new_empty(0)
        h, roots = inputs.factor, inputs.roots
        dense = weight.detach().to(torch.float64, copy=True).mul_(live).mul_(roots)
        sparse, keep = search(dense, h, zeros, live, select, penalty=self.penalty, iterations=self.iterations)
        new = refine(dense, sparse, h, keep, self.refinements)
        weight.copy_(new.div_(roots).mul_(keep))
        return keep
