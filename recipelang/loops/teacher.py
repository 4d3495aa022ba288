"""A teacher that the loop handed over, and outputs of models that are not transformers'."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from recipelang.engine.attention_maps import show_maps
from recipelang.modifiers.distill import Running, asked
from recipelang.planning.types import DistillPlan, StagePlan
from recipelang.source import fail
from recipelang.tasks.question_answering import OUTPUTS

#: what a model is called with beside its inputs
_BESIDE = ("label", "labels", "label_ids", "num_items_in_batch", "output_hidden_states", "output_attentions")


class Handed(nn.Module):
    """A teacher in the form that `distill` calls: its outputs have names, whatever it is."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **batch: Any) -> Any:
        return named(self.model(**batch))


def handed(plan: DistillPlan, teacher: nn.Module, *, labels: bool = False) -> Running:
    if "output_attentions" in asked(plan):
        show_maps(teacher, True)
    return Running(Handed(teacher), asked(plan), labels=labels)


def logits_of(model: nn.Module) -> tuple[str, ...]:
    """The outputs that `logits` stands for, told by the head."""
    answers = any(name.startswith("qa_outputs.") for name, _ in model.named_parameters())
    return OUTPUTS if answers else ("logits",)


def inputs_of(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in batch.items() if k not in _BESIDE and not k.endswith("_positions")}


def named(outputs: Any) -> Any:
    """Outputs with names: a plain tensor is `logits`."""
    if isinstance(outputs, Tensor):
        return SimpleNamespace(logits=outputs)
    if isinstance(outputs, Mapping) and not hasattr(outputs, "to_tuple"):
        return SimpleNamespace(**outputs)
    if isinstance(outputs, tuple):
        help = "return a tensor (`logits`), a mapping, or a transformers output"
        raise fail("E086", "the outputs of the model have no names", help=help)
    return outputs


def check_distillation(plan: StagePlan) -> None:
    """A trainer loads the optimizer's state before its callbacks can add to it."""
    if any(term.widths for d in plan.distills for term in d.terms):
        help = "use `recipelang.attach` in your own loop, or a teacher of the same width"
        raise fail("E055", "this release does not support a wider teacher's states in this trainer", help=help)
