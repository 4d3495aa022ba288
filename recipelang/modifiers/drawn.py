"""Masks that are drawn anew from the scores for every forward pass, so that weights return with the values they had.

Between steps a masked weight is 0.0 in the model, as everywhere; what it is beside its mask is kept here. The optimizer is
shown the whole weights, with the gradients that the masks leave, and moves them as it would without pruning: weight
decay and momentum act on masked ones too. When the stage ends, what masks cover is forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from recipelang.modifiers.matrices import finite, miscopied, put, weights_of
from recipelang.modifiers.modifier import State
from recipelang.modifiers.prune import Prune
from recipelang.planning.prune_plan import PruneEvent, PrunePlan
from recipelang.pruning.scores import Score
from recipelang.pruning.shards import beside, is_shard, local

#: in a checkpoint behind the name of a target
WHOLE = "whole"


class Drawn(Prune):
    """Counts are those of the last event."""

    copies = WHOLE

    def __init__(self, plan: PrunePlan, score: Score, seed: int) -> None:
        super().__init__(plan, score, seed)
        self.whole: dict[str, Tensor] = {}  # targets without their masks, in shards as they are

    def on_step_start(self, state: State) -> None:
        for name, weight in self._targets(state):
            if name not in self.whole:
                self.whole[name] = weight.detach().clone()
        super().on_step_start(state)

    def on_gradients(self, state: State) -> None:
        """Gradients are those of W ⊙ M here; masked ones are zeroed after all scores have seen them."""
        self._unmask(state)
        if state.skipped:
            return
        self.score.broken = state.broken
        self.score.observe(weights_of(self.names, state))

    def on_step_end(self, state: State) -> None:
        for name, weight in self._targets(state):
            self.whole[name] = kept = beside(self.whole[name], weight)
            local(kept).copy_(local(weight.detach()))
        if event := self._last(state.step):
            self._draw(event, state)

    def on_end(self, state: State) -> None:
        super().on_end(state)
        state.masks.clear_moments(state.optimizer)
        self.whole.clear()

    def _prune(self, event: PruneEvent, state: State) -> None:
        finite(self.pieces, weights_of(self.names, state))
        self._draw(event, state)

    def _draw(self, event: PruneEvent, state: State) -> None:
        self._unmask(state)
        weights = weights_of(self.names, state)
        with torch.no_grad():
            all_live = [torch.ones(local(w).shape, dtype=torch.bool, device=w.device) for w in weights]
            heights = [len(w) for w in weights] if is_shard(weights[0]) else None
            keeps = self._choose(self.score.scores(weights), self._each(event.zeros), all_live, heights)
            put(weights, self.pieces, keeps, state)

    @torch.no_grad()
    def _unmask(self, state: State) -> None:
        for name, weight in self._targets(state):
            local(weight.detach()).copy_(local(beside(self.whole[name], weight)))

    def _last(self, step: int) -> PruneEvent | None:
        """The event whose count is in force after a step."""
        return next((e for e in reversed(self.plan.events) if e.step <= step), None)

    def _targets(self, state: State) -> list[tuple[str, nn.Parameter]]:
        return [(n, state.parameters[n]) for n in self.names]

    def state(self) -> dict[str, Tensor]:
        return self.score.state() | {f"{n}/{WHOLE}": w for n, w in self.whole.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        whole = {key.removesuffix(f"/{WHOLE}"): w for key, w in state.items() if key.endswith(f"/{WHOLE}")}
        self.whole = {name: w.clone() for name, w in whole.items()}
        self.score.load({k: v for k, v in state.items() if not k.endswith(f"/{WHOLE}")})

    def misfit(
        self, state: Mapping[str, Tensor], step: int, trained: Collection[str], moments: Collection[str]
    ) -> str | None:
        rest = dict(state)
        for target in self.plan.targets:
            kept = rest.pop(f"{target.name}/{WHOLE}", None)
            if kept is None:
                return f"`{target.name}/{WHOLE}` is missing"
            if why := miscopied(f"{target.name}/{WHOLE}", kept, target.shape):
                return why
        return super().misfit(rest, step, trained, moments)
