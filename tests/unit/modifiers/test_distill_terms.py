"""Every term of distillation against its formula, written out in double precision."""

import numpy as np
import pytest
import torch

from recipelang.modifiers.distill_terms import (
    attention_loss,
    hidden_loss,
    kd_loss,
    number_loss,
    reverse_loss,
    squarehead_loss,
)

LENGTHS = [5, 3, 1]  # tokens of three items, padded to 6
MASK = torch.tensor([[1] * n + [0] * (6 - n) for n in LENGTHS])


@pytest.fixture
def random():
    return np.random.default_rng(7)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 5.5])
def test_logits(random, temperature):
    s, t = random.normal(size=(2, 3, 6)) * 4
    p, q = softmax(t / temperature), softmax(s / temperature)
    expected = temperature**2 * np.mean((p * np.log(p / q)).sum(-1))
    assert float(kd_loss(torch.tensor(s), torch.tensor(t), temperature)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 5.5])
def test_logits_from_the_student_side(random, temperature):
    s, t = random.normal(size=(2, 3, 6)) * 4
    p, q = softmax(t / temperature), softmax(s / temperature)
    expected = temperature**2 * np.mean((q * np.log(q / p)).sum(-1))
    assert float(reverse_loss(torch.tensor(s), torch.tensor(t), temperature)) == pytest.approx(expected, rel=1e-5)


def test_tokens_from_the_student_side_are_means_over_items(random):
    s, t = random.normal(size=(2, 3, 6, 5)) * 2
    p, q = softmax(t), softmax(s)
    expected = np.mean([(q[i, :n] * np.log(q[i, :n] / p[i, :n])).sum(-1).mean() for i, n in enumerate(LENGTHS)])
    found = reverse_loss(torch.tensor(s), torch.tensor(t), 1.0, MASK)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    whole = reverse_loss(torch.tensor(s), torch.tensor(t), 1.0)
    assert float(whole) == pytest.approx(np.mean((q * np.log(q / p)).sum(-1)), rel=1e-5)


def test_a_choice_that_is_not_there_says_nothing_from_the_student_side_either(random):
    s, t = random.normal(size=(2, 2, 3))
    ours = torch.tensor(np.append(s, [[-np.inf]] * 2, 1), requires_grad=True)
    found = reverse_loss(ours, torch.tensor(np.append(t, [[-np.inf]] * 2, 1)), 2.0)
    found.backward()
    assert float(found.detach()) == pytest.approx(float(reverse_loss(torch.tensor(s), torch.tensor(t), 2.0)), rel=1e-6)
    assert bool(ours.grad.isfinite().all()) and not ours.grad[:, 3].any()


def test_squarehead_is_a_ratio_of_sums(random):
    """MSE(t, s) / MSE(t, 0) of the tokens that are there (arXiv 2310.06927)."""
    s, t = random.normal(size=(2, 3, 6, 4))
    there = MASK.numpy().astype(bool)
    expected = np.mean((s[there] - t[there]) ** 2) / np.mean(t[there] ** 2)
    assert float(squarehead_loss(torch.tensor(s), torch.tensor(t), MASK)) == pytest.approx(expected, rel=1e-6)
    mean = float(hidden_loss(torch.tensor(s), torch.tensor(t), MASK))
    assert abs(mean - expected) > 1e-3  # a mean of ratios is another number


def test_numbers(random):
    s, t = random.normal(size=(2, 3, 1)) * 4
    found = number_loss(torch.tensor(s), torch.tensor(t, dtype=torch.bfloat16))
    expected = np.mean((s - torch.tensor(t, dtype=torch.bfloat16).double().numpy()) ** 2)
    assert float(found) == pytest.approx(expected, rel=1e-6) and found.dtype is torch.float32


def test_hidden_states(random):
    s, t = random.normal(size=(2, 3, 6, 4))
    ratios = [((s[i, :n] - t[i, :n]) ** 2).sum() / (t[i, :n] ** 2).sum() for i, n in enumerate(LENGTHS)]
    assert float(hidden_loss(torch.tensor(s), torch.tensor(t), MASK)) == pytest.approx(np.mean(ratios), rel=1e-5)


def maps(random):
    """As a model gives them: no token attends to padding."""
    scores = random.normal(size=(3, 2, 6, 6)) * 3
    scores[~np.broadcast_to(MASK.numpy()[:, None, None, :].astype(bool), scores.shape)] = -np.inf
    return softmax(scores)


def test_attention_maps(random):
    s, t = maps(random), maps(random)
    items = []
    for i, n in enumerate(LENGTHS):
        p, q = t[i, :, :n, :n], s[i, :, :n, :n]
        items.append((p * np.log(p / q)).sum(-1).mean())
    found = attention_loss(torch.tensor(s), torch.tensor(t), MASK)
    assert float(found) == pytest.approx(np.mean(items), rel=1e-5)


def test_attention_that_vanishes_has_a_finite_gradient():
    s = torch.tensor([[[[1.0, 0.0], [1e-30, 1.0]]]], requires_grad=True)
    t = torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]])
    attention_loss(s, t, torch.ones(1, 2)).backward()
    assert bool(s.grad.isfinite().all())


@pytest.mark.parametrize("term", ["hidden", "attention", "logits"])
def test_padding_changes_nothing_and_a_batch_may_be_cut(random, term):
    if term == "attention":
        s, t = torch.tensor(maps(random)), torch.tensor(maps(random))
        loss, spoilt = attention_loss, s.clone()
        spoilt[MASK[:, None, :, None].expand_as(s) == 0] = 0.123
    elif term == "hidden":
        s, t = torch.tensor(random.normal(size=(2, 3, 6, 4)))
        loss, spoilt = hidden_loss, s.clone()
        spoilt[MASK == 0] = 77.0
    else:
        s, t = torch.tensor(random.normal(size=(2, 3, 6)))
        loss, spoilt = (lambda a, b, mask: kd_loss(a, b, 2.0)), s
    whole = float(loss(s, t, MASK))
    assert float(loss(spoilt, t, MASK)) == pytest.approx(whole, rel=1e-6)
    cut = [float(loss(s[i : i + 1], t[i : i + 1], MASK[i : i + 1])) for i in range(3)]
    assert np.mean(cut) == pytest.approx(whole, rel=1e-6)
