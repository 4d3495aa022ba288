"""Choices that a question lacks where others have more: never chosen, and without a part in loss and gradients.

In a batch they are rows of nothing but padding. Attention over no token at all has no value, so the model reads the
first token of such a row; what it makes of that is replaced by a logit of -inf. Without such rows nothing is touched.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipelang.planning.types import ModelPlan


def prepare(model: nn.Module, plan: ModelPlan) -> None:
    leave_out_absent(model)


def leave_out_absent(model: nn.Module) -> None:
    """`model` is one of transformers' for multiple choice, called by name with `attention_mask` [items, choices, tokens]."""
    there: list[Tensor] = []  # of the call that is under way: bool [items, choices]

    @torch.compiler.disable
    def before(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        there.clear()
        mask = named.get("attention_mask")
        if mask is None or (mask.device.type == "cpu" and bool(mask[..., 0].all())):  # elsewhere nobody waits to know
            return None
        there.append(mask.any(-1))
        mask = mask.clone()
        mask[..., 0] = 1
        return args, {**named, "attention_mask": mask}

    @torch.compiler.disable
    def after(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], outputs: Any) -> Any:
        if not there:
            return None
        outputs.logits = outputs.logits.masked_fill(~there.pop(), -torch.inf)
        if named.get("labels") is not None:
            outputs.loss = F.cross_entropy(outputs.logits, named["labels"])
        return outputs

    model.register_forward_pre_hook(before, with_kwargs=True)
    model.register_forward_hook(after, with_kwargs=True)
