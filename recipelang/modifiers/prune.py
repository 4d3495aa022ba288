"""`prune`: new masks at the planned events, and zeros that stay zero in between."""

from __future__ import annotations

import torch

from recipelang.plan.types import PruneEvent, PrunePlan
from recipelang.pruning import selection
from recipelang.pruning.scores import magnitude
from recipelang.runtime.state import Modifier, State


class Prune(Modifier):
    """Obeys the counts of the plan exactly, whatever the ties."""

    def __init__(self, plan: PrunePlan, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        self.events = {e.step: e for e in plan.events}
        self.names = [t.name for t in plan.targets]

    def on_step_start(self, state: State) -> None:
        if event := self.events.get(state.step):
            self._prune(event, state)
        past = [e.sparsity for e in self.plan.events if e.step <= state.step]
        if past:
            state.sparsity = past[-1]

    def on_end(self, state: State) -> None:
        if event := self.events.get(state.steps):
            self._prune(event, state)

    @torch.no_grad()
    def _prune(self, event: PruneEvent, state: State) -> None:
        parameters = dict(state.model.named_parameters())
        weights = [parameters[n] for n in self.names]
        scores = magnitude.scores(weights)
        live = [state.masks.live(n, w) for n, w in zip(self.names, weights, strict=True)]
        if self.plan.scope == "uniform":
            keeps = selection.uniform(scores, event.zeros, live, seed=self.seed)
        else:
            keeps = selection.smallest(scores, event.zeros[0], live, seed=self.seed)
        for name, weight, keep in zip(self.names, weights, keeps, strict=True):
            state.masks.set(name, weight, keep)
        state.masks.clear_moments(state.optimizer)


class KeepZeros(Modifier):
    """Masks of this stage and of earlier ones: no gradient reaches a masked weight."""

    def on_gradients(self, state: State) -> None:
        state.masks.apply_gradients()
