"""SparseGPT: weights go column by column, and those right of them make up for it (arXiv 2301.00774).

With H = XXᵀ + λI over the inputs X of a layer, λ a share of the mean of the diagonal, and U the upper triangular
factor of the inverse, H⁻¹ = UᵀU, taking out weight j of a row while columns left of j stay as they are costs
w_j²/U_jj², and the best answer of the columns right of it is w ← w - (w_j/U_jj) · U_j.

Columns are taken in blocks: which weights go is decided for a whole block when it is reached, from weights that have
already made up for all that went before, and each block's share of the zeros is that of its columns. Groups of an
N:M pattern are decided one by one, as each is reached. All of it is in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recipelang.pruning.inputs import Gathered, Gram, not_finite
from recipelang.pruning.scores import Score, Select
from recipelang.source import fail


def factor(gram: Tensor, damp: float) -> Tensor:
    """The upper triangular U with H⁻¹ = UᵀU, in double precision; H = gram + damp · mean(diag) · I.

    Where no input is ever other than zero, nothing is known, and H is the identity.

    Raises:
        RecipeError: E082 where an input is not finite, E078 where H cannot be inverted for want of samples.
    """
    # columns first, as LAPACK has them: each step then takes the place of the one before it
    h = torch.empty_strided(gram.shape, (1, len(gram)), dtype=torch.float64, device=gram.device).copy_(gram)
    failed = torch.empty((), dtype=torch.int32, device=gram.device)
    mean = float(h.diagonal().mean())
    if not math.isfinite(mean):
        raise not_finite()
    h.diagonal().add_(damp * mean if mean > 0 else 1.0)
    torch.linalg.cholesky_ex(h, out=(h, failed))
    if not int(failed):
        torch.cholesky_inverse(h, out=h)
        torch.linalg.cholesky_ex(h, upper=True, out=(h, failed))
    if int(failed):
        help = "use more samples, or raise `damp`"
        raise fail("E078", f"`damp = {damp:g}` leaves a matrix that cannot be inverted", help=help)
    return h


def shares(zeros: int, widths: Sequence[int], floors: Sequence[int]) -> list[int]:
    """`zeros` over blocks of columns in proportion to their widths, none below its floor; the sum is exact.

    >>> shares(10, [4, 4, 2], [0, 0, 0])
    [4, 4, 2]
    >>> shares(5, [4, 4, 2], [0, 0, 2])
    [2, 1, 2]
    """
    total, at, ends = sum(widths), 0, [0]
    for width in widths:
        at += width
        ends.append(zeros * at // total)
    found = [max(b - a, floor) for a, b, floor in zip(ends, ends[1:], floors, strict=False)]
    for i in sorted(range(len(found)), key=lambda i: floors[i] - found[i]):  # the most room first
        excess = sum(found) - zeros
        found[i] -= min(excess, found[i] - floors[i])
    return found


def prune(
    weight: Tensor,
    upper: Tensor,
    zeros: int,
    live: Tensor,
    select: Select,
    *,
    block: int,
    group: int = 0,
    unit: int = 1,
) -> tuple[Tensor, Tensor]:
    """The new weight and its keep-mask, both [outputs, inputs].

    Args:
        upper: from `factor`, [inputs, inputs].
        zeros: of the whole weight, a multiple of `unit`.
        live: false where a weight is masked already.
        group: M of an N:M pattern, whose groups are decided one by one; 0 otherwise.
        unit: how many weights go together.
    """
    w, keep = weight.to(torch.float64, copy=True).mul_(live), torch.ones_like(live)
    columns = w.shape[1]
    step = group or block
    starts = range(0, columns, block)
    widths = [min(block, columns - at) for at in starts]
    dead = [int((~live[:, at : at + n]).count_nonzero()) // unit for at, n in zip(starts, widths, strict=True)]
    counts = [n * unit for n in shares(zeros // unit, widths, dead)]
    diagonal = upper.diagonal()
    for at, width, count in zip(starts, widths, counts, strict=True):
        end = at + width
        errors = torch.zeros(w.shape[0], width, dtype=w.dtype, device=w.device)
        for j in range(at, end):
            if (j - at) % step == 0:
                until = min(j + step, end)
                score = (w[:, j:until] / diagonal[j:until]).square()
                keep[:, j:until] = select(score, count, live[:, j:until])
            gone = w[:, j] * ~keep[:, j]
            errors[:, j - at] = gone / diagonal[j]
            w[:, j:end] -= errors[:, j - at, None] * upper[j, j:end]
        w[:, end:] -= errors @ upper[at:end, end:]  # columns further right are told once a block
    return w.mul_(keep).to(weight.dtype), keep


class Sparsegpt(Score):
    gathers = Gram

    def __init__(self, names: Sequence[str], seed: int, *, block: int, damp: float) -> None:
        super().__init__(names, seed)
        self.block, self.damp = block, damp

    @torch.no_grad()
    def fit(self, weight: nn.Parameter, inputs: Gathered, zeros: int, live: Tensor, select: Select) -> Tensor:
        assert isinstance(inputs, Gram)
        if inputs.factor is None:  # matrices that read the same share it, and nothing else asks for the sums
            inputs.factor, inputs.sums = factor(inputs.sums, self.damp), inputs.sums.new_empty(0)
        new, keep = prune(
            weight.detach(),
            inputs.factor,
            zeros,
            live,
            select,
            block=self.block,
            group=select.group,
            unit=select.unit,
        )
        weight.copy_(new)
        return keep
