"""`ema`: an exponential moving average of the weights beside them, which is evaluated and which the stage leaves.

After the first step the average is the weights; after each other one avg <- avg + (1 - decay) (w - avg), which is the rule of
`torch.optim.swa_utils.get_ema_multi_avg_fn`. What a mask drops is 0.0 in the average as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from recipelang.modifiers.modifier import Modifier, State
from recipelang.pruning.masks import Masks, zero


class Average(Modifier):
    """Of parameters; buffers are those of the model. Every checkpoint has it."""

    name = "average"

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def on_step_end(self, state: State) -> None:
        weights = {n: p.detach() for n, p in state.parameters.items()}
        if not self.kept:
            self.kept = {n: w.clone() for n, w in weights.items()}
        else:
            torch._foreach_lerp_(list(self.kept.values()), [weights[n] for n in self.kept], 1 - self.decay)
        self._mask(state.masks)

    @contextmanager
    def shown(self, model: nn.Module) -> Iterator[None]:
        """Inside, the model has the average as its weights; no copy is made."""
        self._exchange(model)
        try:
            yield
        finally:
            self._exchange(model)

    def leave(self, model: nn.Module) -> None:
        """The model ends with the average, and nothing is kept."""
        self._exchange(model)
        self.kept = {}

    def _exchange(self, model: nn.Module) -> None:
        for name, weight in model.named_parameters() if self.kept else ():
            weight.data, self.kept[name] = self.kept[name], weight.data

    def _mask(self, masks: Masks) -> None:
        for name, kept in self.kept.items():
            if (mask := masks.get(name)) is not None:
                zero(kept, mask)

    def state(self) -> dict[str, Tensor]:
        return dict(self.kept)

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.kept = {n: t.clone() for n, t in state.items()}

    def misfit(self, state: Mapping[str, Tensor], *_: object) -> str | None:
        """Judged with the model's own weights (`engine/fitting.py`)."""
        return None
