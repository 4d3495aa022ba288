"""A model without a head, made one of sentences: every text of an item gets an embedding, and a batch its loss.

The model is called with `input_ids` and `attention_mask` [items, texts, tokens], and reads every text by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.utils import ModelOutput

from recipelang.planning.types import ModelPlan
from recipelang.tasks.pooling import Pooling
from recipelang.tasks.sentence_similarity import SCALE


@dataclass
class Embedded(ModelOutput):
    """What such a model gives; states and maps are those of single texts, [items × texts, ...]."""

    loss: Tensor | None = None
    embeddings: Tensor | None = None  # [items, texts, width], fp32
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


def prepare(model: nn.Module, plan: ModelPlan) -> None:
    embed(model, plan.pooling or "mean")


def embed(model: nn.Module, pooling: Pooling) -> None:
    """`model` is one of transformers' without a head; afterwards it takes items and gives `Embedded`.

    `labels` of real numbers are scores of pairs; with others, the texts of a batch are ranked.
    """
    under_way: list[tuple[int, Tensor, Tensor | None]] = []  # texts of an item, their mask, labels

    @torch.compiler.disable
    def before(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        mask = named["attention_mask"]
        rest = {k: v for k, v in named.items() if k != "labels"}
        flat = {k: v.flatten(0, 1) if isinstance(v, Tensor) and v.dim() == 3 else v for k, v in rest.items()}
        under_way[:] = [(mask.shape[1], flat["attention_mask"], named.get("labels"))]
        return args, flat

    @torch.compiler.disable
    def after(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], outputs: Any) -> Embedded:
        texts, mask, labels = under_way.pop()
        states = outputs.last_hidden_state
        with torch.autocast(states.device.type, enabled=False):
            found = pooled(states.float(), mask, pooling).unflatten(0, (-1, texts))
            loss = None if labels is None else loss_of(found, labels)
        return Embedded(loss, found, outputs.get("hidden_states"), outputs.get("attentions"))

    model.register_forward_pre_hook(before, with_kwargs=True)
    model.register_forward_hook(after, with_kwargs=True)


def pooled(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """[texts, width] of the states [texts, tokens, width]: their mean where `mask` [texts, tokens] is 1, or the first."""
    if pooling == "cls":
        return states[:, 0]
    keep = mask.unsqueeze(-1).to(states.dtype)
    return (states * keep).sum(1) / keep.sum(1).clamp_min(1e-9)


def loss_of(embeddings: Tensor, labels: Tensor) -> Tensor:
    return score_loss(embeddings, labels) if labels.is_floating_point() else ranking_loss(embeddings)


def score_loss(embeddings: Tensor, scores: Tensor) -> Tensor:
    """Mean squared difference of cosine and score; embeddings are [items, 2, width], scores [items], -1 to 1."""
    unit = F.normalize(embeddings, dim=-1)
    return F.mse_loss((unit[:, 0] * unit[:, 1]).sum(-1), scores.to(unit.dtype))


def ranking_loss(embeddings: Tensor) -> Tensor:
    """Cross-entropy of the pair of each text among the pairs, then the negatives, of all items of the batch.

    Embeddings are [items, 2 or 3, width]: text, pair, negative (arXiv 1705.00652, eq. 5, with cosines times `SCALE`).
    """
    unit = F.normalize(embeddings, dim=-1)
    others = unit[:, 1:].transpose(0, 1).flatten(0, 1)  # [items or 2 × items, width], all pairs first
    near = unit[:, 0] @ others.T * SCALE
    return F.cross_entropy(near, torch.arange(len(near), device=near.device))
