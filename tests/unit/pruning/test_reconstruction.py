"""A layer that is reconstructed, against plain Adam in double precision; and what it never does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recipelang.pruning.reconstruction import error, reconstruct
from recipelang.source import RecipeError


class Layer:
    """Two matrices with a function between them, batches of inputs, and what the dense layer gave."""

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        make = torch.Generator().manual_seed(seed)
        shapes = ((10, 6), (6, 10))
        dense = [torch.randn(shape, generator=make) for shape in shapes]
        self.inputs = [torch.randn(20, 6, generator=make).to(dtype) for _ in range(3)]
        self.weights = [nn.Parameter(w.to(dtype), requires_grad=False) for w in dense]
        with torch.no_grad():
            self.wanted = [self.through(x) for x in self.inputs]
        self.keeps = [torch.rand(shape, generator=make) < 0.5 for shape in shapes]
        for weight, keep in zip(self.weights, self.keeps, strict=True):
            weight.data.masked_fill_(~keep, 0.0)

    def through(self, x):
        return (x @ self.weights[0].T).tanh() @ self.weights[1].T

    def __len__(self):
        return len(self.inputs)

    def given(self, batch):
        return self.through(self.inputs[batch]), self.wanted[batch]


def reference(layer: Layer, steps: int, rate: float) -> list[torch.Tensor]:
    """arXiv 1412.6980, algorithm 1, on the weights that stay; ‖f(x) - y‖² / ‖y‖² of a batch in turn; in double precision."""
    weights = [w.detach().double() for w in layer.weights]
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    for t in range(1, steps + 1):
        x, y = layer.inputs[(t - 1) % 3].double(), layer.wanted[(t - 1) % 3].double()
        moving = [w.clone().requires_grad_(True) for w in weights]
        loss = (((x @ moving[0].T).tanh() @ moving[1].T - y) ** 2).sum() / (y**2).sum()
        loss.backward()
        for w, leaf, keep, m, v in zip(weights, moving, layer.keeps, first, second, strict=True):
            gradient = leaf.grad * keep
            m.mul_(0.9).add_(0.1 * gradient)
            v.mul_(0.999).add_(0.001 * gradient**2)
            now = rate * (1 - (t - 1) / steps)
            w -= now * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-12)
    return weights


@pytest.mark.parametrize("seed", range(4))
def test_weights_that_stay_move_as_adam_moves_them(seed):
    layer, again = Layer(seed), Layer(seed)
    before, after = reconstruct(layer, layer.weights, layer.keeps, steps=30, rate=0.01)
    for found, wanted in zip(layer.weights, reference(again, 30, 0.01), strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=1e-5)
    assert after < 0.9 * before and after == error(layer) and before == error(again)
    for weight, keep in zip(layer.weights, layer.keeps, strict=True):
        assert bool((weight[~keep] == 0).all()) and not bool(torch.signbit(weight[~keep]).any())
        assert weight.requires_grad is False and weight.grad is None


def test_the_same_again_gives_the_same_bits():
    one, two = Layer(), Layer()
    assert reconstruct(one, one.weights, one.keeps, steps=7, rate=0.01) == reconstruct(
        two, two.weights, two.keeps, steps=7, rate=0.01
    )
    assert all(torch.equal(a, b) for a, b in zip(one.weights, two.weights, strict=True))


def test_what_makes_it_worse_is_taken_back():
    layer = Layer()
    old = [w.detach().clone() for w in layer.weights]
    before, after = reconstruct(layer, layer.weights, layer.keeps, steps=2, rate=1e6)
    assert before == after == error(layer)
    assert all(torch.equal(a, b) for a, b in zip(layer.weights, old, strict=True))


def test_a_layer_without_an_error_is_left_alone():
    layer = Layer()
    with torch.no_grad():
        layer.wanted = [layer.through(x) for x in layer.inputs]
    old = [w.detach().clone() for w in layer.weights]
    assert reconstruct(layer, layer.weights, layer.keeps, steps=5, rate=0.1) == (0.0, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(layer.weights, old, strict=True))


def test_narrow_weights_are_moved_by_steps_smaller_than_they_tell_apart():
    layer = Layer(dtype=torch.bfloat16)
    before, after = reconstruct(layer, layer.weights, layer.keeps, steps=200, rate=2e-3)
    assert layer.weights[0].dtype == torch.bfloat16 and after < 0.8 * before


def test_a_weight_that_nothing_reaches_stays():
    layer = Layer()
    apart = nn.Parameter(torch.ones(2, 2))
    reconstruct(layer, [*layer.weights, apart], [*layer.keeps, None], steps=3, rate=0.01)
    assert torch.equal(apart, torch.ones(2, 2))


def test_outputs_that_are_no_numbers_are_said():
    layer = Layer()
    layer.inputs[1][0, 0] = torch.inf
    layer.inputs[1][0, 1] = -torch.inf
    with pytest.raises(RecipeError) as failed:
        reconstruct(layer, layer.weights, layer.keeps, steps=3, rate=0.01)
    assert [d.code for d in failed.value.diagnostics] == ["E082"]
