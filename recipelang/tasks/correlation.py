"""Correlation of two series of numbers, in double precision: Pearson's of the numbers, Spearman's of their ranks.

Both are undefined where one series is constant: None, never a number that looks like a result. Sums are exact, so
both are the same number in whatever order items come.
"""

from __future__ import annotations

import math

import numpy as np


def pearson(x: np.ndarray, y: np.ndarray) -> float | None:
    """Linear correlation of `x` and `y`, [items] each, finite numbers; -1 to 1."""
    a, b = _centred(x), _centred(y)
    if len(a) != len(b):
        raise ValueError(f"{len(a)} numbers against {len(b)}")
    apart = math.sqrt(_sum(a * a) * _sum(b * b))
    return max(-1.0, min(1.0, _sum(a * b) / apart)) if apart else None


def spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    """Correlation of the ranks of `x` and `y`; equal numbers share the mean of their ranks."""
    return pearson(ranks(x), ranks(y))


def ranks(values: np.ndarray) -> np.ndarray:
    """[items] float64, from 1; of equal numbers each has the mean of the places that they take together.

    >>> ranks(np.array([10.0, 30.0, 10.0, 20.0])).tolist()
    [1.5, 4.0, 1.5, 3.0]
    """
    _, place, many = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(many) - (many - 1) / 2)[place.reshape(-1)], np.float64)


def _centred(values: np.ndarray) -> np.ndarray:
    """Numbers less their mean, scaled to at most 1 so that squares neither overflow nor vanish; zeros if constant."""
    found = np.asarray(values, np.float64).reshape(-1)
    if not len(found) or found.min() == found.max():
        return np.zeros_like(found)
    found = found / np.abs(found).max()
    found = found - found.min()  # near to each other, numbers have exact differences, and a mean that rounds
    found = found - _sum(found) / len(found)
    return np.asarray(found / np.abs(found).max())


def _sum(values: np.ndarray) -> float:
    return math.fsum(values.tolist())
