"""OWL: layers with more outliers keep more of their weights (outlier weighed layerwise sparsity, arXiv 2310.05175).

An outlier is a weight whose |w_ij| · ‖x_j‖₂ is above m times the mean of its layer, over all of the layer's matrices
together. With D_l the share of outliers of layer l among its n_l weights, the sparsity of the layer is

    S_l = S - λ · (D_l - D) / max_k |D_k - D|,   D = Σ n_l D_l / Σ n_l,

so that Σ n_l S_l = S · Σ n_l, and no layer is farther from S than λ. (The authors' code spreads the densities over a
width of 2λ instead, and then shifts them: the largest distance may there be anything from λ to 2λ.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import torch
from torch import Tensor


def outliers(scores: Sequence[Callable[[], Tensor]], m: float) -> Fraction:
    """The share of outliers of a layer; `scores`: of each of its matrices, |w| · ‖x‖, made anew at every call."""
    sizes, sums = [], []
    for score in scores:
        found = score()
        sizes.append(found.numel())
        sums.append(float(found.sum(dtype=torch.float64)))
    size = sum(sizes)
    least = m * math.fsum(sums) / max(1, size)
    return Fraction(sum(int((score() > least).count_nonzero()) for score in scores), max(1, size))


def sparsities(shares: Sequence[Fraction], sizes: Sequence[int], sparsity: Fraction, far: Fraction) -> list[Fraction]:
    """S_l of every layer, from its share of outliers and its size; `far` is λ.

    >>> sparsities([Fraction(1, 10), Fraction(1, 5), Fraction(3, 10)], [50, 50, 50], Fraction(1, 2), Fraction(1, 10))
    [Fraction(3, 5), Fraction(1, 2), Fraction(2, 5)]
    """
    mean = sum((d * n for d, n in zip(shares, sizes, strict=True)), Fraction(0)) / sum(sizes)
    worst = max(abs(d - mean) for d in shares)
    return [sparsity - far * (d - mean) / worst if worst else sparsity for d in shares]


def spread(total: int, wanted: Iterable[Fraction], least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Whole numbers as near to those that are wanted as their sum allows, each between its bounds.

    What rounding leaves goes to the largest remainders, the first of equal ones; what bounds leave, to where there is
    most room.

    >>> spread(10, [Fraction(5, 2), Fraction(7, 2), Fraction(4)], [0, 0, 0], [9, 9, 9])
    [3, 3, 4]
    >>> spread(10, [Fraction(1), Fraction(5), Fraction(4)], [3, 0, 0], [9, 9, 9])
    [3, 4, 3]
    """
    exact = list(wanted)
    found = [min(max(math.floor(w), low), high) for w, low, high in zip(exact, least, most, strict=True)]
    missing = total - sum(found)
    for i in sorted(range(len(found)), key=lambda i: (math.floor(exact[i]) - exact[i], i)):
        if missing > 0 and least[i] <= exact[i] < most[i] and exact[i] != found[i]:
            found[i], missing = found[i] + 1, missing - 1
    while missing:  # few: what bounds have cut off
        step = 1 if missing > 0 else -1
        room = [high - n if step > 0 else n - low for n, low, high in zip(found, least, most, strict=True)]
        free = sum(n > 0 for n in room)
        if not free:
            raise ValueError(f"bounds leave no room for {total:,}")
        part = max(1, abs(missing) // free)
        for i in sorted(range(len(found)), key=lambda i: (-room[i], i)):
            taken = min(part, room[i], abs(missing))
            found[i] += step * taken
            missing -= step * taken
    return found
