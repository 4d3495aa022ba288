"""`adapter`: the model computes with W + M ⊙ (s B A), and A and B are trained in place of W.

In the model the sum lies where W was, so no module changes and every layer computes as before. In the backward pass
G = ∂L/∂(W + M ⊙ s B A) gives ∂L/∂A = s Bᵀ (M ⊙ G) and ∂L/∂B = s (M ⊙ G) Aᵀ as soon as it is whole, and is dropped then: no
gradient of a weight outlasts its own layer. W itself is kept here. The sum is made anew after every step with the mask that is
in force, so what a mask drops is 0.0 at all times, and at the end nothing is left to merge.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from recipelang.modifiers.matrices import miscopied
from recipelang.modifiers.modifier import Modifier, State, misshapen
from recipelang.planning.adapter_plan import AdapterPlan
from recipelang.pruning.masks import zero
from recipelang.pruning.scores import precise

#: behind the name of a target, in a checkpoint: the two matrices, and the weight without their product
A, B, BASE = "a", "b", "base"


class Adapter(Modifier):
    """A is drawn as linear layers are, B begins at 0 (arXiv 2106.09685): the first step computes with W."""

    copies = BASE

    def __init__(self, plan: AdapterPlan, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        self.name = f"adapter/{plan.name}"
        self.scale = plan.alpha / plan.rank
        self.shapes = {t.name: t.shape for t in plan.targets}
        self.pairs: dict[str, tuple[nn.Parameter, nn.Parameter]] = {}
        self.base: dict[str, Tensor] = {}
        self.optimizer: torch.optim.Optimizer | None = None
        self.hooks: list[torch.utils.hooks.RemovableHandle] = []

    def join(self, optimizer: torch.optim.Optimizer) -> None:
        like = optimizer.param_groups[0]["params"][0]
        generator = torch.Generator().manual_seed(self.seed)
        for name, (rows, columns) in self.shapes.items():
            drawn = torch.empty(self.plan.rank, columns, dtype=precise(like))
            bound = 1 / math.sqrt(columns)
            drawn.uniform_(-bound, bound, generator=generator)
            zeros = torch.zeros(rows, self.plan.rank, dtype=precise(like))
            self.pairs[name] = nn.Parameter(drawn.to(like.device)), nn.Parameter(zeros.to(like.device))
        optimizer.add_param_group({"params": [p for pair in self.pairs.values() for p in pair]})
        self.optimizer = optimizer

    def on_step_start(self, state: State) -> None:
        for name in self.shapes:
            weight = state.parameters[name]
            if name not in self.base:
                self.base[name] = weight.detach().clone()
            take = partial(self._take, name, state)
            self.hooks.append(weight.register_post_accumulate_grad_hook(take))

    def on_gradients(self, state: State) -> None:
        for hook in self.hooks:
            hook.remove()
        self.hooks.clear()

    @torch.no_grad()
    def on_step_end(self, state: State) -> None:
        for name, (a, b) in self.pairs.items():
            weight = state.parameters[name]
            weight.copy_(self.base[name] + self._as_stored(self.scale * (b @ a), weight))
            if (mask := state.masks.get(name)) is not None:
                zero(weight, mask)

    def on_end(self, state: State) -> None:
        self.base.clear()

    @torch.no_grad()
    def _take(self, name: str, state: State, weight: Tensor) -> None:
        """What the gradient of a weight is to its adapter; parts of a batch add up."""
        assert weight.grad is not None
        gradient, weight.grad = weight.grad, None
        if (mask := state.masks.get(name)) is not None:
            zero(gradient, mask)
        a, b = self.pairs[name]
        gradient = self._as_stored(gradient.to(a.dtype), a, tuple(self.shapes[name]))
        for one, more in ((a, b.T @ gradient), (b, gradient @ a.T)):
            more *= self.scale
            one.grad = more if one.grad is None else one.grad.add_(more)

    @staticmethod
    def _as_stored(found: Tensor, like: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
        """A matrix may be stored inputs first, where the plan has outputs first."""
        wanted = tuple(like.shape) if shape is None else shape
        return found if tuple(found.shape) == wanted else found.T

    # -------------------------------------------------------------- checkpoints
    def state(self) -> dict[str, Tensor]:
        found = {f"{name}/{BASE}": weight for name, weight in self.base.items()}
        for name, pair in self.pairs.items():
            for what, own in zip((A, B), pair, strict=True):
                found[f"{name}/{what}"] = own.detach()
                moments = self.optimizer.state.get(own, {}) if self.optimizer else {}
                found |= {f"{name}/{what}/{key}": value for key, value in moments.items()}
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        for where, value in state.items():
            name, what, *moment = where.split("/")
            if what == BASE:
                self.base[name] = value.clone()
                continue
            own = self.pairs[name][what == B]
            if not moment:
                own.data.copy_(value)
            elif self.optimizer is not None:
                self.optimizer.state[own][moment[0]] = value

    def misfit(
        self, state: Mapping[str, Tensor], step: int, trained: Collection[str], moments: Collection[str]
    ) -> str | None:
        wanted: dict[str, tuple[int, ...]] = {}
        for name, (rows, columns) in self.shapes.items():
            for what, shape in ((A, (self.plan.rank, columns)), (B, (rows, self.plan.rank))):
                wanted[f"{name}/{what}"] = shape
                wanted |= {f"{name}/{what}/{m}": () if m == "step" else shape for m in moments}
        if odd := sorted(state.keys() ^ {*wanted, *(f"{name}/{BASE}" for name in self.shapes)}):
            return f"`{odd[0]}` {'does not belong there' if odd[0] in state else 'is missing'}"
        copied = (miscopied(f"{n}/{BASE}", state[f"{n}/{BASE}"], shape) for n, shape in self.shapes.items())
        whys = (misshapen(where, state[where], shape, torch.float32) for where, shape in wanted.items())
        return next(filter(None, (*copied, *whys)), None)
