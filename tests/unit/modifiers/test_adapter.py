"""Masked adapters against W + M ⊙ (s B A) written out, in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

import recipelang
from recipelang.modifiers.adapter import Adapter
from tests.attached import step

STEPS, RATE, DECAY, RANK, ALPHA = 10, 0.05, 0.1, 2, 6
RECIPE = """recipe 1 "adapter"
model {{ base = "any", task = causal_lm }}
data {{ train = "any.txt" }}
stage s {{
  length = {steps} steps, batch = 8, learning_rate = {speed}, optimizer = adamw(weight_decay = {decay}, no_decay = nothing)
  prune weights {{ targets = "0.weight" | "2.weight", {prune} }}
  adapter recover {{ method = lora(rank = {rank}, alpha = {alpha}), targets = "0.weight" | "2.weight"{also} }}
}}
"""
HOLD = "method = hold"
MOVES = "method = magnitude, sparsity = linear(50% -> 75%, over = start..8 steps, every = 2 steps)"
TARGETS = ("0.weight", "2.weight")


def model() -> nn.Module:
    torch.manual_seed(3)
    made = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    with torch.no_grad():
        for at in (0, 2):
            made[at].weight *= torch.rand_like(made[at].weight) > 0.5
    return made


def batches() -> list[tuple[Tensor, Tensor]]:
    drawn = torch.Generator().manual_seed(4)
    return [
        (torch.randn(16, 6, generator=drawn).double(), torch.randn(16, 4, generator=drawn).double())
        for _ in range(STEPS)
    ]


def attached(prune: str = HOLD, also: str = ""):
    ours = model()
    optimizer = torch.optim.AdamW(ours.parameters(), lr=RATE, weight_decay=DECAY)
    words = {"steps": STEPS, "speed": RATE, "decay": DECAY, "prune": prune, "rank": RANK, "alpha": ALPHA, "also": also}
    text = RECIPE.format(**words)
    return ours, optimizer, recipelang.attach(text, ours, optimizer, steps_per_epoch=STEPS)


def adapter(pruning) -> Adapter:
    (found,) = (m for m in pruning._modifiers if isinstance(m, Adapter))
    return found


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize(("prune", "also"), [(HOLD, ""), (HOLD, ', also = "2.bias"'), (MOVES, "")])
def test_ten_steps_are_those_of_the_formula(prune, also, parts):
    ours, optimizer, pruning = attached(prune, also)
    pairs = {n: tuple(p.detach().clone().requires_grad_() for p in ab) for n, ab in adapter(pruning).pairs.items()}
    base = {n: p.detach().clone() for n, p in ours.named_parameters()}
    bias = base["2.bias"].clone().requires_grad_()
    own = [p for pair in pairs.values() for p in pair] + ([bias] if also else [])
    reference = torch.optim.AdamW(own, lr=RATE, weight_decay=DECAY)

    def merged(masks: dict[str, Tensor]) -> dict[str, Tensor]:
        found = {n: masks[n] * (base[n] + ALPHA / RANK * (b @ a)) for n, (a, b) in pairs.items()}
        return {**base, "2.bias": bias, **found}

    for batch in batches():
        step(ours, optimizer, pruning, batch, parts)
        masks = {n: pruning.masks.get(n).double() for n in TARGETS}
        ((functional_call(ours, merged(masks), (batch[0],)) - batch[1]) ** 2).mean().backward()
        reference.step()
        reference.zero_grad()
        for name, want in merged(masks).items():
            got = dict(ours.named_parameters())[name].detach()
            torch.testing.assert_close(got, want.detach(), rtol=1e-9, atol=1e-12)
        for name in TARGETS:
            assert not bool((ours.get_parameter(name) != 0)[masks[name] == 0].any())
    pruning.end()
    assert not torch.equal(ours[0].weight, base["0.weight"])
    assert torch.equal(ours[0].bias, base["0.bias"])
    assert torch.equal(ours[2].bias, base["2.bias"]) == (not also)
    if prune == HOLD:
        for name in TARGETS:
            assert torch.equal(ours.get_parameter(name) == 0, base[name] == 0)


def test_no_gradient_and_no_moment_of_a_weight_is_left():
    ours, optimizer, pruning = attached()
    shown, wanted = batches()[0]
    pruning.step_start()
    ((ours(shown) - wanted) ** 2).mean().backward()
    assert all(p.grad is None for p in ours.parameters())
    pruning.gradients()
    optimizer.step()
    pruning.step_end()
    assert not any(p in optimizer.state for p in ours.parameters())
    ((ours(shown) - wanted) ** 2).mean().backward()  # between steps nothing takes a gradient away
    assert ours[0].weight.grad is not None


def test_it_goes_on_bit_for_bit_where_it_was_cut():
    ours, optimizer, pruning = attached(MOVES)
    for batch in batches():
        step(ours, optimizer, pruning, batch)
    first, first_optimizer, first_pruning = attached(MOVES)
    for batch in batches()[:5]:
        step(first, first_optimizer, first_pruning, batch)
    again, second_optimizer, second = attached(MOVES)
    again.load_state_dict(first.state_dict())
    second_optimizer.load_state_dict(first_optimizer.state_dict())
    second.load_state_dict(first_pruning.state_dict())
    for batch in batches()[5:]:
        step(again, second_optimizer, second, batch)
    for one, two in zip(ours.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
