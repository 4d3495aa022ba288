"""The optimizer of a stage: its groups of parameters, with what the recipe gives each."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from recipelang.plan.types import StagePlan


def make_optimizer(stage: StagePlan, model: nn.Module) -> torch.optim.Optimizer:
    """A fresh one for every stage; the learning rate is set at every step.

    `group` in a group of the optimizer tells which of the plan's it is; the others have the stage's rate. A frozen
    parameter is in it as well: without a gradient it is passed over, and its moments begin with its training.
    """
    groups: list[dict[str, Any]] = [{"params": rest}] if (rest := _rest(stage, model)) else []
    parameters = dict(model.named_parameters())
    for index, group in enumerate(stage.groups):
        own: dict[str, Any] = {"params": [parameters[n] for n in group.targets], "group": index}
        groups.append(own if group.weight_decay is None else {**own, "weight_decay": group.weight_decay})
    arguments: dict[str, Any] = dict(stage.optimizer_args)
    kind = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[stage.optimizer]
    return kind(groups, lr=0.0, fused=True, **arguments)


def _rest(stage: StagePlan, model: nn.Module) -> list[nn.Parameter]:
    named = {name for group in stage.groups for name in group.targets}
    return [p for n, p in model.named_parameters() if n not in named]
