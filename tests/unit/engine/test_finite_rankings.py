"""Units of a model are not ranked by numbers that are none."""

import math

import pytest
import torch

from recipelang.engine.shrink import _finite
from recipelang.source import RecipeError


def test_finite_numbers_go_through():
    assert torch.equal(_finite(torch.tensor([1.0, 0.0])), torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_others_are_refused(odd):
    with pytest.raises(RecipeError, match="E082]: what the model computes for the ranking is not finite"):
        _finite(torch.tensor([1.0, odd]))
