"""Attention that shows its maps. The library's fast kernels keep none, and its plain one shows them after dropout."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_NAME = "recipelang_maps"


def has_maps(model: nn.Module) -> bool:
    return bool(model.config._attn_implementation == _NAME)  # type: ignore[union-attr]


def show_maps(model: nn.Module, shown: bool) -> None:
    """Switch a model between attention that can show its maps and what it was loaded with."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    now = model.config._attn_implementation  # type: ignore[union-attr]
    if shown == has_maps(model):
        return
    if not shown:
        model.set_attn_implementation(model._attention_before)  # type: ignore[operator]
        return
    AttentionInterface.register(_NAME, _attention)
    AttentionMaskInterface.register(_NAME, eager_mask)
    model._attention_before = now  # type: ignore[assignment]
    model.set_attn_implementation(_NAME)  # type: ignore[operator]


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Heads are [items, heads, tokens, width]; keys may have fewer, each for a group of queries."""
    group = query.shape[1] // key.shape[1]
    if group > 1:
        key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask
    maps = F.softmax(scores, dim=-1, dtype=torch.float32)
    weights = F.dropout(maps, dropout, module.training).to(value.dtype)
    return (weights @ value).transpose(1, 2).contiguous(), maps
