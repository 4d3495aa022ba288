"""The empirical Fisher information of a set of weights, block by block, and its inverse.

F = λI + (1/m) Σ g gᵀ, of which only blocks of B consecutive weights of each
flattened tensor are kept. The published form makes m rank-one updates of the
inverse, each a pass over all of it; here gradients are gathered a few at a time,
the blocks grow by one batched product a chunk, and each is inverted once: the
same matrix up to rounding. The last block of a tensor is filled up with weights
that have no gradient. They are on their own in F and in its inverse, so the
others are as in a shorter block.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.pruning.passes import Piece, chunk

#: blocks inverted at once: their copies in double precision stay in a cache
_SLAB = 256


def lay(tensors: Sequence[Tensor | None], pieces: Sequence[Piece], into: Tensor) -> Tensor:
    """Pieces of tensors as rows of one block each; `into` is [rows, block], zero behind the ends of tensors."""
    at, block = 0, into.shape[1]
    for p in pieces:
        whole, rest = divmod(p.last - p.first, block)
        here = into[at : at + p.rows(block)]
        at += p.rows(block)
        tensor = tensors[p.target]
        if tensor is None:
            here.zero_()
            continue
        flat = tensor.reshape(-1)[p.first : p.last]
        here[:whole] = flat[: whole * block].view(whole, block)
        if rest:
            here[whole, :rest] = flat[whole * block :]
    return into


def take(laid: Tensor, pieces: Sequence[Piece], tensors: Sequence[Tensor]) -> None:
    """The way back: rows [rows, block] into the places of their pieces in contiguous tensors."""
    at, block = 0, laid.shape[1]
    for p in pieces:
        here = laid[at : at + p.rows(block)]
        at += p.rows(block)
        tensors[p.target].view(-1)[p.first : p.last] = here.reshape(-1)[: p.last - p.first]


@torch.no_grad()
def inverse(
    weights: Sequence[nn.Parameter], pieces: Sequence[Piece], draws: Iterable[None], block: int, damp: float
) -> Tensor:
    """The inverse blocks of F, [rows, block, block], from the gradients that lie in `.grad` after each draw.

    Raises:
        ValueError: nothing was drawn, or a gradient is not finite.
    """
    rows, size = sum(p.rows(block) for p in pieces), chunk(block)
    first = weights[pieces[0].target]
    dtype = torch.promote_types(first.dtype, torch.float32)
    gram = torch.zeros(rows, block, block, dtype=dtype, device=first.device)
    gathered = torch.zeros(rows, size, block, dtype=dtype, device=first.device)
    drawn = 0
    for _ in draws:
        lay([w.grad for w in weights], pieces, gathered[:, drawn % size])
        drawn += 1
        if drawn % size == 0:
            gram.baddbmm_(gathered.transpose(1, 2), gathered)
    if left := drawn % size:
        gram.baddbmm_(gathered[:, :left].transpose(1, 2), gathered[:, :left])
    (drawn,) = map(int, processes.total(drawn))  # each process has drawn its part
    if not drawn:
        raise ValueError("no gradients were collected")
    del gathered
    processes.add([gram])
    for slab in gram.split(_SLAB):
        slab.copy_(_inverse(slab.double() / drawn, damp))
    return gram


def _inverse(gram: Tensor, damp: float) -> Tensor:
    """(λI + G)⁻¹ of each, in double precision."""
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    factor, failed = torch.linalg.cholesky_ex(gram + damp * identity)
    out = torch.cholesky_inverse(factor)
    if bool(failed.any()):
        out[failed > 0] = _eigen_inverse(gram[failed > 0], damp)
    return out


def _eigen_inverse(gram: Tensor, damp: float) -> Tensor:
    """Where rounding of large gradients outweighs λ: no eigenvalue of F is less than λ, whatever was rounded."""
    if not bool(gram.isfinite().all()):
        raise ValueError("a gradient is not finite")
    values, vectors = torch.linalg.eigh(gram)
    out = (vectors / (values.clamp(min=0) + damp).unsqueeze(-2)) @ vectors.transpose(-1, -2)
    still = gram.diagonal(dim1=-2, dim2=-1) == 0  # weights without a gradient are on their own
    return out.masked_fill_(still.unsqueeze(-1) ^ still.unsqueeze(-2), 0.0)
