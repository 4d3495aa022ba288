"""The six events of a stage, what modifiers see and change at them, and what a modifier is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from recipelang.source.suggest import closest

if TYPE_CHECKING:
    import numpy as np
    import torch

    from recipelang.pruning.inputs import Gathered
    from recipelang.pruning.masks import Masks
    from recipelang.pruning.scores import Gradients
    from recipelang.pruning.stacks import Layout


class Event(Enum):
    """When modifiers act. The loop, in full:

        fire(START)
        for step in range(steps):
            fire(STEP_START)              # masks may change, the step's learning rate is set
            for part in micro_batches:
                outputs = model(part)
                fire(LOSS)                # terms are added to the task's loss
                backward(loss)
            fire(GRADIENTS)               # before clipping: masked weights get no gradient
            clip(); optimizer.step()
            fire(STEP_END)
        fire(END)                         # events that fall on the very last moment

    Modifiers act in the order of the plan.
    """

    START = "start"
    STEP_START = "step_start"
    LOSS = "loss"
    GRADIENTS = "gradients"
    STEP_END = "step_end"
    END = "end"


@dataclass
class State:
    """A stage at one moment. `step` counts optimizer steps from 0; `loss` is the micro-batch's."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    masks: Masks
    steps: int
    step: int = 0
    layouts: Mapping[str, Layout] = field(default_factory=dict)  # of parameters that are not one matrix as they lie
    batch: dict[str, torch.Tensor] = field(default_factory=dict)
    fetched: dict[str, torch.Tensor] = field(default_factory=dict)  # of the micro-batch: what modifiers fetched for it
    outputs: Any = None
    loss: torch.Tensor | None = None
    prunable: int = 0  # weights in the targets of this stage and of earlier ones
    skipped: bool = False  # gradients are not finite, and a scaler will not let the optimizer take this step
    #: the same on the device of the weights, where nobody asks for it
    broken: torch.Tensor | None = None
    scale: torch.Tensor | None = None  # what the loss is multiplied by before its backward pass
    #: `(batches, examples of a batch, 0 = the stage's)`: after each, gradients of the task's loss lie in `.grad`
    gradients: Gradients = lambda batches, size, dense=False: iter(())
    #: `(targets, what to gather, order)`: layer by layer, what was gathered of the inputs of the targets in it. What
    #: is done to a layer before the next is asked for is what the next one sees, if the order is `sequential`; in the
    #: order `untouched` nothing is done to any. A fourth argument is called once a layer is pruned, with its targets
    #: and the samples on their way through it
    layers: Callable[..., Iterator[dict[str, Gathered]]] = lambda *_: iter(())
    #: of weights that lie on disk: `(names, kept=names)`, those in memory meanwhile, and what becomes of them; none: all
    #: weights are in memory
    present: Callable[..., AbstractContextManager[None]] | None = None
    #: experts of which fewer tokens were seen than their statistics need -> how many
    few_tokens: dict[str, int] = field(default_factory=dict)
    #: of blocks whose layers share out the zeros: layer -> its share of zeros
    shared: dict[str, dict[str, float]] = field(default_factory=dict)
    #: of blocks that reconstruct: layer -> its error before and afterwards
    reconstructed: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)

    @functools.cached_property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """By name. Walking through the modules of a model takes longer than many a step of pruning."""
        return dict(self.model.named_parameters())

    def become(self, model: torch.nn.Module, layouts: Mapping[str, Layout], prunable: int) -> None:
        """The stage goes on with another model, whose masks and optimizer these are already."""
        self.model, self.layouts, self.prunable = model, layouts, prunable
        self.__dict__.pop("parameters", None)

    @property
    def sparsity(self) -> float:
        """Which share of all prunable weights is masked now. All processes have to ask."""
        return self.masks.dead / max(self.prunable, self.masks.size, 1)


class Modifier:
    """Acts at the events whose methods it overrides. Another `on_...` is a slip: TypeError when the class is made.

    Masks, weights and optimizer are in every checkpoint. What a modifier remembers beside them it gives in
    `state`, tensors by name, and takes back in `load`; `name` tells it from the others of its stage.
    """

    name = ""
    #: in its state, behind the name of a weight: a copy of it, as it lies in the model
    copies = ""
    #: what the model is asked for beside its logits, as arguments of its forward pass
    asks: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        events = [f"on_{event.value}" for event in Event]
        for name in vars(cls):
            if name.startswith("on_") and name not in events:
                near = closest(name, events)
                hint = f"did you mean `{near}`?" if near else f"the events are {', '.join(events)}"
                raise TypeError(f"`{cls.__name__}.{name}` is called at no event; {hint}")

    def on_start(self, state: State) -> None: ...

    def on_step_start(self, state: State) -> None: ...

    def on_loss(self, state: State) -> None: ...

    def on_gradients(self, state: State) -> None: ...

    def on_step_end(self, state: State) -> None: ...

    def on_end(self, state: State) -> None: ...

    def fetch(self, rows: np.ndarray, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Of the items of a step, as rows of the data set and as inputs, what else crosses to the device with them."""
        return {}

    def join(self, optimizer: torch.optim.Optimizer) -> None:
        """Called once, before `load` and the first step: parameters of its own become a group of the optimizer."""

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        pass

    def misfit(
        self, state: Mapping[str, torch.Tensor], step: int, trained: Collection[str], moments: Collection[str]
    ) -> str | None:
        """Why tensors of a checkpoint are not what `state` gives after so many steps, if they are not.

        Asked before `join` and `load`. `trained`: parameters that the optimizer remembers; `moments`: what it
        remembers of each.
        """
        return f"`{min(state)}` does not belong there" if state else None


def misshapen(name: str, tensor: torch.Tensor, shape: Sequence[int], dtype: torch.dtype) -> str | None:
    """Why a tensor that was read is none of this shape and type, if it is not."""
    if tensor.dtype == dtype and tuple(tensor.shape) == tuple(shape):
        return None
    return f"`{name}` is {tensor.dtype} of shape {tuple(tensor.shape)}, not {dtype} of shape {tuple(shape)}"


def fire(event: Event, modifiers: Sequence[Modifier], state: State) -> None:
    for modifier in modifiers:
        getattr(modifier, f"on_{event.value}")(state)
