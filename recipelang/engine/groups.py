"""The optimizer of a stage: its groups of parameters, with what the recipe gives each."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from recipelang.planning.types import StagePlan


def make_optimizer(stage: StagePlan, model: nn.Module) -> torch.optim.Optimizer:
    """A fresh one for every stage; the learning rate is set at every step.

    `group` in a group of the optimizer tells which of the plan's it is; the others have the stage's rate. A frozen
    parameter is in it as well: without a gradient it is passed over, and its moments begin with its training.
    """
    parameters = dict(model.named_parameters())
    named = {name for group in stage.groups for name in group.targets}
    groups = _parts(stage, {n: p for n, p in parameters.items() if n not in named}, {})
    for index, group in enumerate(stage.groups):
        own: dict[str, Any] = {"group": index}
        own |= {} if group.weight_decay is None else {"weight_decay": group.weight_decay}
        groups += _parts(stage, {n: parameters[n] for n in group.targets}, own)
    arguments: dict[str, Any] = dict(stage.optimizer_args)
    kind = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[stage.optimizer]
    return kind(groups, lr=0.0, fused=True, **arguments)


def _parts(stage: StagePlan, parameters: dict[str, nn.Parameter], own: dict[str, Any]) -> list[dict[str, Any]]:
    """A group of the optimizer, or two where weight decay spares some of its parameters."""
    bare = set(stage.undecayed)
    decayed = [p for n, p in parameters.items() if n not in bare]
    spared = [p for n, p in parameters.items() if n in bare]
    both = [{"params": decayed, **own}, {"params": spared, **own, "weight_decay": 0.0}]
    return [group for group in both if group["params"]]
