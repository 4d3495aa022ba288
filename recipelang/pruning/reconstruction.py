"""Block reconstruction: a pruned layer is trained to give what the dense model gave after it (arXiv 2510.14444).

The loss of a batch is ‖f(x) - y‖² / ‖y‖²: x are the states that reach the layer through pruned layers, y those that leave the
same layer of the dense model, padding left out. Weights that stay are moved by Adam (arXiv 1412.6980) with a learning rate
that falls linearly to 0; moments and weights in single precision at least. A masked weight gets no gradient and has no
moments, so it stays 0.0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from recipelang.pruning.inputs import not_finite
from recipelang.pruning.masks import zero
from recipelang.pruning.scores import precise

#: of Adam. A gradient is one of a share of the outputs, so it may be very small
BETAS, EPS = (0.9, 0.999), 1e-12


class Samples(Protocol):
    """Batches on their way through one layer."""

    def __len__(self) -> int: ...

    def given(self, batch: int) -> tuple[Tensor, Tensor]:
        """What the layer gives now, with its graph where gradients are enabled, and what the dense model gave."""


@dataclass
class _Moving:
    """A weight with what Adam remembers of it."""

    weight: nn.Parameter
    keep: Tensor | None  # its mask, none where all of it stays
    exact: Tensor  # in single precision at least
    first: Tensor
    second: Tensor

    @classmethod
    def of(cls, weight: nn.Parameter, keep: Tensor | None) -> _Moving:
        exact = weight.detach().to(precise(weight), copy=True)
        return cls(weight, keep, exact, torch.zeros_like(exact), torch.zeros_like(exact))

    def move(self, gradient: Tensor, step: int, rate: float) -> None:
        gradient = gradient.to(self.exact.dtype, copy=True)
        if self.keep is not None:
            zero(gradient, self.keep)
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        spread = self.second.sqrt().div_(math.sqrt(1 - BETAS[1] ** step)).add_(EPS)
        self.exact.addcdiv_(self.first, spread, value=-rate / (1 - BETAS[0] ** step))
        self.weight.copy_(self.exact)


def error(samples: Samples) -> float:
    """‖f(x) - y‖² / ‖y‖² over all samples; not finite where an output is not."""
    wrong, size = 0.0, 0.0
    with torch.no_grad():
        for batch in range(len(samples)):
            found, wanted = (t.double() for t in samples.given(batch))
            wrong += float((found - wanted).square().sum())
            size += float(wanted.square().sum())
    return wrong / size if size else 0.0


def reconstruct(
    samples: Samples, weights: Sequence[nn.Parameter], keeps: Sequence[Tensor | None], *, steps: int, rate: float
) -> tuple[float, float]:
    """Train the weights of one layer in place; `error` before and afterwards, which is never larger.

    Args:
        keeps: masks of the weights, in the same shapes, false where a weight is 0.0 and stays so.
        rate: of the first step.

    Raises:
        RecipeError: E082 where an output is not finite before any step.
    """
    before = error(samples)
    if not math.isfinite(before):
        raise not_finite()
    if not before:
        return before, before
    old = [w.detach().clone() for w in weights]
    asked = [w.requires_grad for w in weights]
    moving = [_Moving.of(w, keep) for w, keep in zip(weights, keeps, strict=True)]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        for step in range(steps):
            with torch.enable_grad():
                found, wanted = samples.given(step % len(samples))
                size = wanted.float().square().sum().clamp_min(torch.finfo(torch.float32).tiny)
                loss = (found.float() - wanted.float()).square().sum() / size
                gradients = torch.autograd.grad(loss, list(weights), allow_unused=True)  # of experts none may be
            del found, wanted, loss
            with torch.no_grad():
                for one, gradient in zip(moving, gradients, strict=True):
                    if gradient is not None:
                        one.move(gradient, step + 1, rate * (1 - step / steps))
        after = error(samples)
    finally:
        for weight, before_it in zip(weights, asked, strict=True):
            weight.requires_grad_(before_it)
    if after < before:
        return before, after
    with torch.no_grad():
        for weight, was in zip(weights, old, strict=True):
            weight.copy_(was)
    return before, before
