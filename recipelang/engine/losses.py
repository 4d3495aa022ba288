"""The loss of a task: the model's own, or a cross-entropy with label smoothing and class weights, as torch defines it.

`torch.nn.functional.cross_entropy(..., weight=w, label_smoothing=e)` is, over the labels y that are there,

    (1 - e) · Σ w[y] · -log p[y] / Σ w[y]  +  e / C · Σ Σ_c w[c] · -log p[c] / Σ w[y]

Of a question with fewer choices than others, the C choices are those that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recipelang.engine.shares import weights
from recipelang.planning.loss_plan import LossPlan
from recipelang.tasks import Task
from recipelang.tasks.encoding import IGNORED


class ModelLoss:
    """That which the model computes itself."""

    #: what of a batch the model is not given
    withheld: frozenset[str] = frozenset()

    def __call__(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """A mean over the labels of a micro-batch."""
        return outputs.loss  # type: ignore[no-any-return]

    def counts(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """By how much each item of a batch counts in its mean; none where all count alike."""
        return weights(inputs)

    def inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the model is called with."""
        return {k: v for k, v in batch.items() if k not in self.withheld}


MODEL_LOSS = ModelLoss()


class CrossEntropy(ModelLoss):
    """`learns`: as a task says what its logits and labels are."""

    def __init__(self, plan: LossPlan, learns: str, withheld: frozenset[str]) -> None:
        self.plan, self.learns, self.withheld = plan, learns, withheld
        self._weight: Tensor | None = None

    def __call__(self, outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        logits, labels = outputs.logits.float(), batch["labels"]
        if self.learns == "next":
            logits, labels = logits[..., :-1, :], labels[..., 1:]
        logits, labels = logits.flatten(0, -2), labels.flatten()
        if self.learns == "choices":
            return _of_choices(logits, labels, self.plan.label_smoothing)
        weight = self._on(logits.device)
        smoothing = self.plan.label_smoothing
        return F.cross_entropy(logits, labels, weight=weight, label_smoothing=smoothing, ignore_index=IGNORED)

    def counts(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
        if not self.plan.class_weights:
            return weights(inputs)
        labels = inputs["labels"]
        each = np.where(labels >= 0, np.asarray(self.plan.class_weights)[np.maximum(labels, 0)], 0.0)
        found: np.ndarray = each.reshape(len(labels), -1).sum(1)
        return None if (found == found[0]).all() else found

    def _on(self, device: torch.device) -> Tensor | None:
        """The weights of the classes, made once."""
        if self.plan.class_weights and (self._weight is None or self._weight.device != device):
            self._weight = torch.tensor(self.plan.class_weights, dtype=torch.float32, device=device)
        return self._weight


def _of_choices(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Of questions [items, choices]; a choice that one lacks has the logit -inf."""
    there = logits > -torch.inf
    every = -logits.log_softmax(-1)
    right = every.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    smooth = every.masked_fill(~there, 0).sum(-1) / there.sum(-1)
    return ((1 - smoothing) * right + smoothing * smooth).mean()


def loss_of(plan: LossPlan | None, task: Task[Any, Any, Any, Any]) -> ModelLoss:
    """What a stage trains on. Where labels are no input of the model, it need not compute a loss that nobody asks for."""
    return MODEL_LOSS if plan is None else CrossEntropy(plan, task.learns, frozenset(task.labels))
