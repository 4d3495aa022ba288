"""Which weights a pattern keeps, given their scores: exact counts, ties by order.

A pattern turns scores of weights into scores of groups, and groups that stay
into masks. All of it is pure, one tensor at a time where the scope allows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recipelang.pruning import selection
from recipelang.pruning.selection import Scores, Ties

#: up to here the weights of a group are compared with each other; beyond it they are sorted
_FEW = 16
#: weights of rows that are ranked at once
_TOGETHER = 1 << 22


def choose(
    pattern: str,
    size: tuple[int, int],
    scope: str,
    scores: Sequence[Scores],
    zeros: Sequence[int],
    live: Sequence[Tensor],
    *,
    seed: int = 0,
    ties: Ties = "first",
    tiled: bool = False,
    heights: Sequence[int] | None = None,
) -> list[Tensor]:
    """Keep-masks (bool) of a set of weights: `live`, changed in place one tensor at a time.

    Args:
        pattern: `unstructured`, `N:M` or `block`.
        size: (N, M), or (rows, columns) of a block.
        scope: the ranking set: `uniform` and `erk` rank within a tensor, `row` within a row, `global` over all.
        scores: of each tensor, flat; the largest stay.
        zeros: how many become zero, per tensor, or one number for `global`.
        live: bool, contiguous, false where a weight is masked already.
        ties: which of equal scores go, in an unstructured set and among blocks.
        tiled: the scores are of the tiles of a `block` already, one each.
        heights: rows of the whole tensors, where `live` and the scores are of this process's shards.
    """
    match pattern:
        case "N:M":
            for score, n, mask in zip(scores, zeros, live, strict=True):
                if n:
                    mask.copy_(n_of_m(score().view(mask.shape), *size, mask))
            return list(live)
        case "block":
            scores, tiles = in_tiles(size, scores, live, tiled=tiled)
            area = size[0] * size[1]
            of_tiles = [n // area for n in zeros]
            kept = choose("unstructured", size, scope, scores, of_tiles, tiles, seed=seed, ties=ties, heights=heights)
            return [mask.copy_(expand(k, *size)) for k, mask in zip(kept, live, strict=True)]
    if scope == "global":
        return selection.smallest(scores, zeros[0], live, seed=seed, shards=heights is not None, ties=ties)
    if scope == "row":
        return [
            mask.copy_(rows(score().view(mask.shape), n // height, mask, n % height))
            for score, n, mask, height in zip(scores, zeros, live, heights or [len(m) for m in live], strict=True)
        ]
    return selection.uniform(scores, zeros, live, seed=seed, shards=heights is not None, ties=ties)


def in_tiles(
    size: tuple[int, int], scores: Sequence[Scores], live: Sequence[Tensor], *, tiled: bool
) -> tuple[Sequence[Scores], list[Tensor]]:
    """Scores and masks of blocks, from those of weights; `tiled`: the scores are of blocks already."""
    tiles = [tile_live(mask, *size) for mask in live]
    if tiled:
        return scores, tiles
    means = [
        (lambda s=s, m=m: tile_scores(s().view(m.shape), *size).reshape(-1))  # type: ignore[misc]
        for s, m in zip(scores, live, strict=True)
    ]
    return means, tiles


def n_of_m(score: Tensor, n: int, m: int, live: Tensor) -> Tensor:
    """Keep the `n` largest of every `m` neighbours along the input dimension (the last one).

    Of equal scores the first go. Shapes: `score` and `live` [out, in], `in` a multiple of `m`.
    """
    groups = score.masked_fill(~live, -torch.inf).view(*score.shape[:-1], -1, m)
    if m > _FEW:
        order = groups.argsort(dim=-1, stable=True)[..., : m - n]
        return torch.ones_like(groups, dtype=torch.bool).scatter_(-1, order, False).view(score.shape)
    keep = torch.empty_like(groups, dtype=torch.bool)
    for i in range(m):
        mine = groups[..., i]
        smaller = torch.zeros_like(mine, dtype=torch.int8)
        for j in range(m):
            if j != i:
                other = groups[..., j]
                smaller += (other <= mine) if j < i else (other < mine)
        keep[..., i] = smaller >= m - n
    return keep.view(score.shape)


def rows(score: Tensor, zeros: int, live: Tensor, more: int = 0) -> Tensor:
    """Each output row to exactly `zeros` zeros; of equal scores the first go. Shapes [out, in].

    So many rows as `more` get one more zero each: those that would lose least by it, the first of equal ones.
    """
    many = max(1, _TOGETHER // score.shape[1])  # counting equal scores takes eight bytes a weight
    each = zip(score.split(many), live.split(many), strict=True)
    kept = torch.cat([_rows(s, zeros, m) for s, m in each]) if zeros else torch.ones_like(live)
    if not more:
        return kept
    lowest = score.masked_fill(~live, -torch.inf).masked_fill_(~kept, torch.inf)  # what is masked already goes first
    chosen = lowest.amin(1).argsort(stable=True)[:more]
    equal = lowest[chosen] == lowest[chosen].amin(1, keepdim=True)
    kept[chosen] &= ~(equal & (equal.cumsum(1) == 1))
    return kept


def _rows(score: Tensor, zeros: int, live: Tensor) -> Tensor:
    score = score.masked_fill(~live, -torch.inf)
    threshold = score.kthvalue(zeros, dim=1, keepdim=True).values
    missing = zeros - (score < threshold).sum(1, keepdim=True)
    equal = score == threshold
    return (score > threshold) | (equal & (equal.cumsum(1) > missing))


def tile_scores(score: Tensor, height: int, width: int) -> Tensor:
    """The mean score of every tile: [out, in] -> [out / height, in / width]."""
    return score.view(score.shape[0] // height, height, score.shape[1] // width, width).mean((1, 3))


def tile_live(live: Tensor, height: int, width: int) -> Tensor:
    """Whether anything in a tile is alive."""
    return live.view(live.shape[0] // height, height, live.shape[1] // width, width).any(3).any(1)


def expand(tiles: Tensor, height: int, width: int) -> Tensor:
    """A mask of tiles as one of weights."""
    return tiles.repeat_interleave(height, 0).repeat_interleave(width, 1)
