"""Which units of an axis are chosen together: those of all layers, of one layer, or of one attention in a layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from recipelang.engine.roles import layer_of
from recipelang.planning.dimensions import is_bias_of_heads
from recipelang.planning.shrink_plan import ShrinkPlan

#: what decoders call their attention to an encoder
_CROSS = re.compile(r"EncDecAttention|encoder_attn|cross_?attn|cross_?attention", re.IGNORECASE)


@dataclass(frozen=True)
class Places:
    """`together`: stacks where the biases of one layer's heads are added in all, so that all layers keep the same heads."""

    stacks: Sequence[str]
    together: frozenset[str]

    @classmethod
    def of(cls, plan: ShrinkPlan, stacks: Sequence[str]) -> Places:
        biases = [layer_of(r.name, stacks) for r in plan.reshapes if is_bias_of_heads(r.name)]
        of_stacks = [layer.rpartition(".")[0] for layer in biases]
        return cls(stacks, frozenset(stack for stack in of_stacks if of_stacks.count(stack) == 1))

    def place(self, axis: str, name: str) -> str:
        """By the name of a parameter; empty where the units of all layers are the same."""
        if axis == "hidden":
            return ""
        layer = layer_of(name, self.stacks)
        if axis != "heads":
            return layer
        if len(self.stacks) > 1 and any(_CROSS.fullmatch(part) for part in name[len(layer) :].split(".")):
            return f"{layer}.cross"
        stack = layer.rpartition(".")[0]
        return stack if stack in self.together else layer
