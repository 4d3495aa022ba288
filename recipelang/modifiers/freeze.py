"""`freeze`: parameters that take no gradient, for a stage or until a step of it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from recipelang.runtime.state import Modifier, State


class Freeze(Modifier):
    """`until` is the step from which a parameter is trained. What was frozen before the stage is left so."""

    def __init__(self, until: Mapping[str, int]) -> None:
        self.until = until
        self._held: dict[str, nn.Parameter] | None = None

    def on_step_start(self, state: State) -> None:
        if self._held is None:  # not at `START`, which a resumed stage does not see again
            named = state.model.named_parameters()
            self._held = {n: p for n, p in named if n in self.until and p.requires_grad}
        for name, parameter in self._held.items():
            trained = state.step >= self.until[name]
            parameter.requires_grad_(trained)
            if not trained:
                parameter.grad = None  # of a loop that only zeroes gradients: an optimizer would still move it

    def on_end(self, state: State) -> None:
        for parameter in (self._held or {}).values():
            parameter.requires_grad_(True)
