"""A teacher that the loop handed over, and outputs of models that are not transformers'."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from recipelang.modifiers.distill import Distill
from recipelang.plan.types import DistillPlan
from recipelang.source import fail
from recipelang.tasks.question_answering import OUTPUTS

#: what a batch holds beside the inputs of a teacher
_LABELS = ("label", "labels", "label_ids", "num_items_in_batch")


def distillation(plan: DistillPlan, model: nn.Module, teacher: nn.Module) -> Distill:
    """The modifier. What `logits` stands for is told by the student's head."""
    answers = any(name.startswith("qa_outputs.") for name, _ in model.named_parameters())
    return Distill(plan, Teacher(teacher), OUTPUTS if answers else ("logits",))


class Teacher(nn.Module):
    """Called with a batch without its labels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **batch: Any) -> Any:
        return named(self.model(**batch))


def without_labels(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in batch.items() if k not in _LABELS and not k.endswith("_positions")}


def named(outputs: Any) -> Any:
    """Outputs with names: a plain tensor is `logits`."""
    if isinstance(outputs, Tensor):
        return SimpleNamespace(logits=outputs)
    if isinstance(outputs, Mapping) and not hasattr(outputs, "to_tuple"):
        return SimpleNamespace(**outputs)
    if isinstance(outputs, tuple):
        help = "give a tensor (`logits`), a mapping, or an output of transformers"
        raise fail("E086", "the outputs of the model have no names", help=help)
    return outputs
