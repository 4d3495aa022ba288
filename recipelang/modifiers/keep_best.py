"""The best weights of a stage so far, with their masks, beside the ones that go on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from recipelang.modifiers.modifier import Modifier

#: before the names of weights and of masks
WEIGHT, MASK = "weight/", "mask/"


class KeepBest(Modifier):
    """Acts at no event: whoever measures says when to take a copy. Every checkpoint has it, so that it is whole or absent."""

    name = "best"

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def take(self, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
        """A copy of both, in place of the one before."""
        self.kept.clear()  # before the new one is made
        self.kept |= {WEIGHT + n: w.detach().clone() for n, w in weights.items()}
        self.kept |= {MASK + n: m.detach().clone() for n, m in masks.items()}

    def weights(self) -> dict[str, Tensor]:
        return {n.removeprefix(WEIGHT): t for n, t in self.kept.items() if n.startswith(WEIGHT)}

    def masks(self) -> dict[str, Tensor]:
        return {n.removeprefix(MASK): t for n, t in self.kept.items() if n.startswith(MASK)}

    def state(self) -> dict[str, Tensor]:
        return dict(self.kept)

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.kept = dict(state)

    def misfit(self, state: Mapping[str, Tensor], *_: object) -> str | None:
        """Judged with the model's own weights (`engine/fitting.py`)."""
        return None
