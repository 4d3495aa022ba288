"""`distill`: total = (1 - h)·task + h·KD, KD = T²·KL(softmax(teacher/T) ‖ softmax(student/T)).

Summed over classes (for question answering: positions), mean over items, mean
over outputs (start and end). h and T follow their schedules.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipelang.plan.types import DistillPlan
from recipelang.runtime.state import Modifier, State
from recipelang.schedules.stepwise import at


def kd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T²·KL over the last dimension, mean over the others; computed in fp32.

    Args:
        student: logits [items, classes].
        teacher: logits of the same shape, no gradient.
    """
    s = F.log_softmax(student.float() / temperature, dim=-1)
    t = F.log_softmax(teacher.float() / temperature, dim=-1)
    return F.kl_div(s, t, reduction="none", log_target=True).sum(-1).mean() * temperature**2


class Distill(Modifier):
    def __init__(self, plan: DistillPlan, teacher: nn.Module, outputs: tuple[str, ...]) -> None:
        self.plan = plan
        self.teacher = teacher.eval().requires_grad_(False)
        named = tuple(o for o in plan.on if o != "logits")
        self.outputs = named or outputs

    def on_loss(self, state: State) -> None:
        assert state.loss is not None
        hardness = at(self.plan.hardness, state.step)
        temperature = at(self.plan.temperature, state.step)
        if hardness == 0:
            return
        inputs = {k: v for k, v in state.batch.items() if not k.endswith("positions") and k != "labels"}
        with torch.no_grad():
            teacher = self.teacher(**inputs)
        terms = [kd_loss(getattr(state.outputs, o), getattr(teacher, o), temperature) for o in self.outputs]
        distilled = torch.stack(terms).mean()
        state.loss = distilled if hardness == 1 else (1 - hardness) * state.loss + hardness * distilled
