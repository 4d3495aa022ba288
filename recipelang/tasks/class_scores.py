"""Scores of classifications, from counts alone: the same number in whatever order items come."""

from __future__ import annotations

import math

import numpy as np


def confusion(said: np.ndarray, right: np.ndarray, classes: int) -> np.ndarray:
    """How often class `i` was called `j`: [classes, classes]."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (right, said), 1)
    return counts


def accuracy(counts: np.ndarray) -> float:
    return int(np.trace(counts)) / int(counts.sum())


def f1(counts: np.ndarray, positive: int | None = None) -> float:
    """That of the `positive` class; with none, the mean over those that occur, said or right, of two the second's."""
    right, said, hits = counts.sum(1), counts.sum(0), np.diag(counts)
    if positive is None and len(counts) == 2:
        positive = 1
    if positive is not None:
        together = int(right[positive] + said[positive])
        return 2 * int(hits[positive]) / together if together else 0.0
    each = [2 * int(h) / int(r + s) for h, r, s in zip(hits, right, said, strict=True) if r + s]
    return sum(each) / len(each)


def matthews(counts: np.ndarray) -> float:
    """The correlation coefficient of Matthews for any number of classes (Gorodkin 2004); 0 where one is constant."""
    right, said = counts.sum(1).tolist(), counts.sum(0).tolist()
    total, hits = int(counts.sum()), int(np.trace(counts))
    together = hits * total - sum(r * s for r, s in zip(right, said, strict=True))
    apart = (total**2 - sum(s * s for s in said)) * (total**2 - sum(r * r for r in right))
    return together / math.sqrt(apart) if apart else 0.0
