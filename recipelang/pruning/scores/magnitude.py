"""Magnitude: the score of a weight is its absolute value."""

from __future__ import annotations

from torch import Tensor

name = "magnitude"


def score(weight: Tensor) -> Tensor:
    """|w|, of the weight's shape and type."""
    return weight.detach().abs()
