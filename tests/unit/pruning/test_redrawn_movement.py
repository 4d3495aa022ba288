"""Redrawn movement against movement pruning as it is published (arXiv 2005.07683, section 4), in double precision."""

from __future__ import annotations

from bisect import bisect_right

import pytest
import torch
from torch import Tensor, nn

import recipelang
from recipelang.modifiers.drawn import Drawn
from tests.attached import step

STEPS, RATE, SCORES, DECAY = 10, 0.02, 0.05, 0.1
RECIPE = """recipe 1 "as published"
model {{ base = "any", task = causal_lm }}
data {{ train = "any.txt" }}
stage s {{
  length = {steps} steps, batch = 8, learning_rate = {rate}, optimizer = adamw(weight_decay = {decay})
  prune weights {{
    targets = "0.weight" | "2.weight"
    method = redrawn_movement(learning_rate = {scores}, scope = {scope})
    sparsity = cubic(0% -> 70%, over = 1 step .. 8 steps, every = {every})
  }}
}}
"""


def model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()


def batches() -> list[tuple[Tensor, Tensor]]:
    drawn = torch.Generator().manual_seed(4)
    pair = lambda n: torch.randn(16, n, generator=drawn, dtype=torch.float64)  # noqa: E731
    return [(pair(6), pair(4)) for _ in range(STEPS)]


class Top(torch.autograd.Function):
    """M = Top_v(S): 1 where a score is among the highest v, whose gradient is taken straight through."""

    @staticmethod
    def forward(ctx, scores: Tensor, kept: int) -> Tensor:
        mask = torch.zeros_like(scores).view(-1)
        mask[scores.reshape(-1).topk(kept).indices] = 1.0
        return mask.view_as(scores)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return gradient, None


class Published:
    """a = (W ⊙ M) x; W and S are trained together, M is drawn in every forward pass."""

    def __init__(self, scope: str) -> None:
        first, _, second = model()
        self.weights = [nn.Parameter(m.weight.detach().clone()) for m in (first, second)]
        self.biases = [nn.Parameter(m.bias.detach().clone()) for m in (first, second)]
        self.scores = [nn.Parameter(torch.zeros_like(w)) for w in self.weights]
        self.scope = scope
        decayed = [{"params": self.weights, "weight_decay": DECAY}, {"params": self.biases, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(decayed, lr=RATE)
        self.of_scores = torch.optim.Adam(self.scores, lr=SCORES)

    def masks(self, zeros: tuple[int, ...]) -> list[Tensor]:
        if self.scope == "uniform":
            return [Top.apply(s, s.numel() - n) for s, n in zip(self.scores, zeros, strict=True)]
        every = torch.cat([s.reshape(-1) for s in self.scores])
        parts = Top.apply(every, every.numel() - zeros[0]).split([s.numel() for s in self.scores])
        return [p.view_as(s) for p, s in zip(parts, self.scores, strict=True)]

    def step(self, batch: tuple[Tensor, Tensor], zeros: tuple[int, ...]) -> None:
        shown, wanted = batch
        first, second = (w * m for w, m in zip(self.weights, self.masks(zeros), strict=True))
        hidden = torch.tanh(shown @ first.T + self.biases[0])
        ((hidden @ second.T + self.biases[1] - wanted) ** 2).mean().backward()
        for optimizer in (self.optimizer, self.of_scores):
            optimizer.step()
            optimizer.zero_grad()


def attached(scope: str, every: str):
    ours = model()
    decayed = [{"params": [ours[0].weight, ours[2].weight], "weight_decay": DECAY}]
    decayed += [{"params": [ours[0].bias, ours[2].bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(decayed, lr=RATE)
    words = {"steps": STEPS, "rate": RATE, "decay": DECAY, "scores": SCORES, "scope": scope, "every": every}
    return ours, optimizer, recipelang.attach(RECIPE.format(**words), ours, optimizer, steps_per_epoch=STEPS)


def drawn(pruning) -> Drawn:
    (found,) = (m for m in pruning._modifiers if isinstance(m, Drawn))
    return found


def in_force(pruning, step: int) -> tuple[int, ...]:
    events = drawn(pruning).plan.events
    before = bisect_right([e.step for e in events], step)
    return events[before - 1].zeros if before else (0,) * len(events[0].zeros)


@pytest.mark.parametrize("every", ["1 step", "3 steps"])
@pytest.mark.parametrize("scope", ["uniform", "global"])
@pytest.mark.parametrize("parts", [1, 4])
def test_ten_steps_are_those_of_the_published_algorithm(scope, every, parts):
    published = Published(scope)
    ours, optimizer, pruning = attached(scope, every)
    close = {"rtol": 1e-9, "atol": 1e-12}
    returned = 0
    before: list[Tensor] | None = None
    for number, batch in enumerate(batches()):
        zeros = in_force(pruning, number)
        step(ours, optimizer, pruning, batch, parts)
        published.step(batch, zeros)
        whole, state = drawn(pruning).whole, drawn(pruning).score.state()
        now = [m.detach().bool() for m in published.masks(zeros)]
        for at, name in enumerate(("0.weight", "2.weight")):
            torch.testing.assert_close(whole[name], published.weights[at].detach(), **close)
            torch.testing.assert_close(state[name], published.scores[at].detach(), **close)
            torch.testing.assert_close(ours[2 * at].bias.detach(), published.biases[at].detach(), **close)
            mask = pruning.masks.get(name)
            assert torch.equal(now[at] if mask is None else mask, now[at])
            assert torch.equal(ours[2 * at].weight.detach() != 0, now[at])
        returned += sum(int((n & ~b).sum()) for n, b in zip(now, before or now, strict=True))
        before = now
    assert returned  # else it could not be told from masks that only grow
    pruning.end()
    assert torch.equal(ours[0].weight.detach() != 0, before[0])
    assert not drawn(pruning).whole


def test_it_goes_on_bit_for_bit_where_it_was_cut():
    ours, optimizer, pruning = attached("global", "2 steps")
    for batch in batches():
        step(ours, optimizer, pruning, batch)
    pruning.end()
    first, first_optimizer, first_pruning = attached("global", "2 steps")
    for batch in batches()[:5]:
        step(first, first_optimizer, first_pruning, batch)
    again, second_optimizer, second = attached("global", "2 steps")
    again.load_state_dict(first.state_dict())
    second_optimizer.load_state_dict(first_optimizer.state_dict())
    second.load_state_dict(first_pruning.state_dict())
    for batch in batches()[5:]:
        step(again, second_optimizer, second, batch)
    second.end()
    for one, two in zip(ours.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
