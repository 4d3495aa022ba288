"""Clipping is of all that is trained; a teacher's kept outputs are as wide as the batch."""

import numpy as np
import pytest
import torch
from torch import nn

from recipelang.engine.loop import _clip, _trained
from recipelang.engine.teacher_cache import Kept
from recipelang.modifiers.distill_terms import kd_loss


@pytest.fixture
def trained():
    """A model of one weight, and a projection that is trained beside it; gradients of norm 3 and 4."""
    model = nn.Linear(1, 1, bias=False)
    projection = nn.Parameter(torch.zeros(2, 2))
    optimizer = torch.optim.SGD([{"params": model.parameters()}, {"params": [projection]}], lr=0.1)
    model.weight.grad = torch.full((1, 1), 3.0)
    projection.grad = torch.full((2, 2), 2.0)
    return model, projection, optimizer


def test_projections_are_clipped_with_the_model(trained):
    model, projection, optimizer = trained
    assert float(_clip(_trained(model, optimizer), 1.0)) == pytest.approx(5)
    assert float(model.weight.grad) == pytest.approx(0.6, rel=1e-4)
    assert float(projection.grad.norm()) == pytest.approx(0.8, rel=1e-4)


def test_without_anything_beside_the_model_the_norm_is_torchs_to_the_bit():
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(7, 7) for _ in range(3)))
    groups = [{"params": list(model[2].parameters())}, {"params": list(model[:2].parameters())}]
    model(torch.ones(3, 7)).square().sum().backward()
    expected = torch.nn.utils.clip_grad_norm_(model.parameters(), float("inf"))
    assert torch.equal(_clip(_trained(model, torch.optim.SGD(groups, lr=0.1)), float("inf")), expected)


@pytest.mark.parametrize("classes", [(), (3,)], ids=["a score a token", "classes of a token"])
@pytest.mark.parametrize("width", [8, 13, 16])
def test_kept_outputs_are_as_wide_as_a_batch_that_is_padded_past_the_longest_row(classes, width):
    rows = np.arange(4)
    kept = torch.randn(4, 13, *classes)
    teacher = Kept(rows, {"logits": kept}, per_token=True)
    found = torch.from_numpy(teacher.fetch(np.array([2, 0]), {"input_ids": np.zeros((2, width), np.int64)})["logits"])
    assert found.shape == (2, width, *classes)
    same = min(width, 13)
    assert torch.equal(found[:, :same], kept[[2, 0], :same])
    if classes:
        mask = (torch.arange(width) < min(width, 11)).long().expand(2, width)
        assert float(kd_loss(found, found, 2.0, mask)) == 0
