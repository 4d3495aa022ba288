"""What experts of a mixture are worth, as in REAP (arXiv 2510.13999): over the tokens that the router sends to an expert,
the mean of its router weight times the norm of what it puts out.

What experts that read their tokens already weighted put out is weighted, too: its norm alone counts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recipelang.engine.roles import layer_of
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.source import RecipeError, fail
from recipelang.source.words import an

#: tokens that go through their experts at once; with each of its experts a token counts once
_AT_ONCE = 4_096
#: what an expert is worth that no token reached: less than one that puts out zeros
NEVER = -1.0


class Routed:
    """Sums over tokens, by the paths of the modules that hold the experts."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}  # [experts]
        self.tokens: dict[str, Tensor] = {}  # [experts]

    def looks(self, path: str, experts: int, keep: Callable[[], Tensor | None]) -> Callable[..., None]:
        """A forward hook of a module that holds experts. `keep`: which tokens of the batch are no padding, in a row."""

        def look(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            sizes, chosen = _weighted(module, args, out, experts, keep())
            each = [sizes[chosen == expert] for expert in range(experts)]  # scattered, sums on a GPU would vary
            sums, tokens = torch.stack([e.sum() for e in each]), sizes.new_tensor([len(e) for e in each])
            self.sums[path] = self.sums.get(path, 0) + sums
            self.tokens[path] = self.tokens.get(path, 0) + tokens

        return look

    def scores(self) -> dict[str, Tensor]:
        """Of each expert the mean, `NEVER` of one that no token reached: [experts]."""
        never = {path: torch.full_like(sums, NEVER) for path, sums in self.sums.items()}
        means = {path: sums / self.tokens[path] for path, sums in self.sums.items()}
        return {path: torch.where(self.tokens[path] > 0, mean, never[path]) for path, mean in means.items()}


def _weighted(
    module: nn.Module, args: tuple[Any, ...], out: Tensor, experts: int, keep: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Of every pair of a token and an expert that it is sent to, how much comes out, and which expert it is: [pairs]."""
    states = args[0].detach().reshape(-1, args[0].shape[-1])
    if len(args) == 1:  # all tokens for the first expert, weighted, then all for the next; of others zeros
        rows, outputs = states.view(experts, -1, states.shape[-1]), out.detach().view(experts, -1, out.shape[-1])
        sent = rows.any(-1) & _real(rows.shape[1], keep, rows.device)  # [experts, tokens]
        return outputs[sent].float().norm(dim=-1).double(), sent.nonzero()[:, 0]
    chosen, weights = (a.detach().reshape(len(states), -1) for a in args[1:3])
    real = _real(len(states), keep, states.device)
    states, chosen, weights = states[real], chosen[real], weights[real]
    ones = torch.ones_like(weights[:, :1])
    norms = torch.empty_like(weights, dtype=torch.float64)  # [tokens, experts of each]
    for first in range(0, len(states), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        for i in range(chosen.shape[1]):
            made = module.forward(states[part], chosen[part, i : i + 1], ones[part])
            norms[part, i] = made.reshape(-1, made.shape[-1]).float().norm(dim=-1).double()
    return (norms * weights.double()).flatten(), chosen.flatten()


def _real(tokens: int, keep: Tensor | None, device: torch.device) -> Tensor:
    if keep is None or len(keep) != tokens:
        return torch.ones(tokens, dtype=torch.bool, device=device)
    return keep


def unreached(plan: ShrinkPlan, worth: Mapping[tuple[str, str], Tensor], stacks: Sequence[str]) -> list[str]:
    """`model.layers.0.mlp.experts[2]`: experts that no token reached. `stacks`: the paths of the lists of layers."""
    found = []
    for path in plan.expert_stacks:
        scores = worth["experts", layer_of(path, stacks)].tolist()
        found += [f"{path}[{i}]" for i, score in enumerate(scores) if score == NEVER]
    return found


def can_be_seen(model: nn.Module, plan: ShrinkPlan) -> None:
    """E172 where what experts put out cannot be told apart: they are called in a way that is not known here."""
    for path in plan.expert_stacks:
        takes = len(inspect.signature(model.get_submodule(path).forward).parameters)
        if takes not in (1, 3):  # states; states, the experts of each token and their weights
            raise unseen(model)


def unseen(model: nn.Module) -> RecipeError:
    kind = an(f"`{model.config.model_type}`")  # type: ignore[union-attr]
    return fail("E172", f"this release cannot see what the experts of {kind} put out", help="write `by = magnitude`")
