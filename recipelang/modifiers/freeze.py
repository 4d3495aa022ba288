"""`freeze`: parameters that take no gradient, for a stage or until a step of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from recipelang.modifiers.modifier import Modifier, State


def _with_momentum(parameter: nn.Parameter, optimizer: torch.optim.Optimizer) -> None:
    """Fused SGD wants all buffers of a group or none. One that is zero gives the first step that none would give."""
    for group in optimizer.param_groups:
        mine = group.get("fused") and group.get("momentum") and any(p is parameter for p in group["params"])
        if mine and optimizer.state[parameter].get("momentum_buffer") is None:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


class Freeze(Modifier):
    """`until` is the step from which a parameter is trained. What was frozen before the stage is left so."""

    def __init__(self, until: Mapping[str, int]) -> None:
        self.until = until
        self._held: dict[str, nn.Parameter] | None = None

    def on_step_start(self, state: State) -> None:
        begins = self._held is None  # not at `START`, which a resumed stage does not see again
        if self._held is None:
            named = state.model.named_parameters()
            self._held = {n: p for n, p in named if n in self.until and p.requires_grad}
        for name, parameter in self._held.items():
            if state.step < self.until[name]:
                parameter.requires_grad_(False)
                parameter.grad = None  # of a loop that only zeroes gradients: an optimizer would still move it
            elif begins or not parameter.requires_grad:
                parameter.requires_grad_(True)
                _with_momentum(parameter, state.optimizer)

    def on_end(self, state: State) -> None:
        for parameter in (self._held or {}).values():
            parameter.requires_grad_(True)
