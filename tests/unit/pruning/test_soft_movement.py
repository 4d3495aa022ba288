"""Soft movement against the published formulas, weight by weight in double precision."""

import math

import pytest
import torch
from torch import nn

from recipelang.modifiers.prune import make
from recipelang.pruning.scores import soft_movement

RATE, PENALTY = 0.05, 0.02
SHAPES = [(3, 4), (2, 5)]


def parts(dtype=torch.float64, steps=6):
    generator = torch.Generator().manual_seed(0)

    def draw(shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    return [nn.Parameter(draw(s)) for s in SHAPES], [[draw(s) for s in SHAPES] for _ in range(steps)]


def score(**args):
    return make("soft_movement", {"learning_rate": RATE, "penalty": PENALTY, **args}, ["a", "b"], 0)


def observe(it, weights, gradients):
    for one in gradients:
        for weight, gradient in zip(weights, one, strict=True):
            weight.grad = gradient.clone()
        it.observe(weights)


def published(weights, gradients):
    """∂L/∂S = ∂L/∂W · W, R = λ Σ σ(S), and Adam; S begins at 0."""
    found = []
    for i, weight in enumerate(weights):
        for j, w in enumerate(weight.detach().double().reshape(-1).tolist()):
            s = first = second = 0.0
            for t, one in enumerate(gradients, 1):
                soft = 1 / (1 + math.exp(-s))
                slope = float(one[i].reshape(-1)[j]) * w + PENALTY * soft * (1 - soft)
                first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
                s -= RATE * (first / (1 - 0.9**t)) / (math.sqrt(second / (1 - 0.999**t)) + 1e-8)
            found.append(s)
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_scores_are_learned_as_published(dtype, close):
    weights, gradients = parts(dtype)
    it = score()
    observe(it, weights, gradients)
    got = torch.cat([s() for s in it.scores(weights)]).double()
    torch.testing.assert_close(got, published(weights, gradients), rtol=close, atol=close)


def test_slope_is_that_of_the_soft_mask_taken_straight_through():
    """With the mask as a number m: L(w · m) has ∂L/∂m = ∂L/∂w' · w, and m = 1 here."""
    generator = torch.Generator().manual_seed(1)
    weight, target = (torch.randn(4, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    learned = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    mask = torch.ones_like(weight, requires_grad=True)
    soft = learned.clone().requires_grad_()
    loss = ((weight * mask - target) ** 2).sum() + 0.3 * soft.sigmoid().sum()
    loss.backward()
    gradient = 2 * (weight - target)
    want = mask.grad + soft.grad
    torch.testing.assert_close(soft_movement.slope(learned, weight, gradient, 0.3), want, rtol=1e-12, atol=0)


def test_a_weight_without_a_gradient_is_pulled_down_by_the_penalty_alone():
    weights, _ = parts()
    it = score()
    it.observe(weights)
    assert all(bool((s() < 0).all()) for s in it.scores(weights))
    free = score(penalty=0.0)
    free.observe(weights)
    assert all(bool((s() == 0).all()) for s in free.scores(weights))


def test_what_moves_away_from_zero_is_kept_before_what_moves_towards_it():
    weight = nn.Parameter(torch.tensor([[1.0, -1.0, 1.0, -1.0]]))
    it = make("soft_movement", {}, ["a"], 0)
    for _ in range(3):
        weight.grad = torch.tensor([[-1.0, 1.0, 1.0, -1.0]])
        it.observe([weight])
    (found,) = it.scores([weight])
    assert bool((found()[:2] > 0).all()) and bool((found()[2:] < 0).all())


def test_state_goes_on_bit_for_bit():
    weights, gradients = parts(torch.float32)
    whole = score()
    observe(whole, weights, gradients)
    first, second = score(), score()
    observe(first, weights, gradients[:4])
    kept = {name: value.clone() for name, value in first.state().items()}
    assert {name.partition("/")[2] for name in kept} == {"", "step", "exp_avg", "exp_avg_sq"}
    second.load(kept)
    observe(second, weights, gradients[4:])
    for a, b in zip(whole.scores(weights), second.scores(weights), strict=True):
        assert torch.equal(a(), b())


def test_before_the_first_step_there_is_no_state():
    it, weights = score(), parts()[0]
    assert it.state() == {}
    it.load({})
    observe(it, *parts())
    assert len(it.scores(weights)) == 2 and it.state()
