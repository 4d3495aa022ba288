"""What modifiers see and change, and what a modifier is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recipelang.runtime.event import Event

if TYPE_CHECKING:
    import torch

    from recipelang.pruning.masks import Masks


@dataclass
class State:
    """A stage at one moment. `step` counts optimizer steps from 0; `loss` is the micro-batch's."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    masks: Masks
    steps: int
    step: int = 0
    batch: dict[str, torch.Tensor] = field(default_factory=dict)
    outputs: Any = None
    loss: torch.Tensor | None = None
    sparsity: float = 0.0  # the planned one in force, for the progress line


class Modifier:
    """Acts at events by having a method `on_<event>(state)`; the others do nothing.

    It holds no state of its own between steps: masks, weights and optimizer are all a checkpoint keeps.
    """


def fire(event: Event, modifiers: Sequence[Modifier], state: State) -> None:
    for modifier in modifiers:
        method = getattr(modifier, f"on_{event.value}", None)
        if method is not None:
            method(state)
