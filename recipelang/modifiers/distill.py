"""`distill`: total = (1 - h)·task + h·KD, where KD is the weighted sum of the terms of the plan.

The outputs of a task (question answering: start and end) share one term, their mean. h, T and the
weights follow their schedules. Where the teacher is wider, a projection of the student's states is
trained beside the model, in a group of the optimizer of its own; it is in checkpoints and not exported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipelang.modifiers.distill_terms import (
    attention_loss,
    embedding_loss,
    hidden_loss,
    kd_loss,
    number_loss,
    reverse_loss,
    squarehead_loss,
)
from recipelang.modifiers.modifier import Modifier, State, misshapen
from recipelang.planning.types import DistillPlan, TermPlan
from recipelang.schedules.stepwise import at
from recipelang.source import fail

#: the teacher's outputs for the micro-batch of a state: attributes as the model itself gives them
Teacher = Callable[[State], Any]

#: kinds of terms that compare outputs of the model, and not of its layers
OUTPUTS = ("output", "number", "reverse")
_ASKS = {
    "hidden": "output_hidden_states",
    "squarehead": "output_hidden_states",
    "attention": "output_attentions",
}


def asked(plan: DistillPlan) -> tuple[str, ...]:
    """What both models must be asked for beside logits."""
    return tuple(dict.fromkeys(_ASKS[t.kind] for t in plan.terms if t.kind in _ASKS))


class Running:
    """A teacher that reads every batch: in eval mode, without gradients."""

    def __init__(self, model: nn.Module, asks: tuple[str, ...] = (), *, labels: bool = False) -> None:
        """`labels`: they are inputs, of which a decoder's are made."""
        self.model = model.eval().requires_grad_(False)
        self.asks = dict.fromkeys(asks, True)
        self.inputs: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict if labels else inputs

    def __call__(self, state: State) -> Any:
        with torch.no_grad():
            return self.model(**self.inputs(state.batch), **self.asks)


def inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A batch without its labels."""
    return {k: v for k, v in batch.items() if not k.endswith("positions") and k != "labels"}


def following(labels: Tensor) -> Tensor:
    """Where logits predict a labelled token, the next one: bool [items, tokens].

    >>> following(torch.tensor([[-100, 5, -100, 7]])).tolist()
    [[True, False, True, False]]
    """
    return F.pad(labels[:, 1:] >= 0, (0, 1))


def labelled(batch: Mapping[str, Tensor]) -> Tensor | None:
    """Of a loop of one's own that learns the next word: as `answers` where its labels leave out tokens that are there,
    else every token, as for texts.

    >>> there = torch.ones(1, 3, dtype=torch.long)
    >>> labelled({"attention_mask": there, "labels": torch.tensor([[-100, 5, 7]])}).tolist()
    [[True, True, False]]
    >>> labelled({"attention_mask": there, "labels": torch.tensor([[4, 5, 7]])}).tolist()
    [[True, True, True]]
    """
    labels, there = batch.get("labels"), batch.get("attention_mask")
    if labels is None or labels.dim() != 2 or (there is not None and there.shape != labels.shape):
        return there
    attended = torch.ones_like(labels, dtype=torch.bool) if there is None else there > 0
    return torch.where((attended & (labels < 0)).any(), following(labels), attended)


#: whose logits are compared -> of a batch, bool [items, tokens]; none: those of every token
COMPARED: dict[str, Callable[[Mapping[str, Tensor]], Tensor | None]] = {
    "tokens": lambda batch: batch.get("attention_mask"),
    "answers": lambda batch: following(batch["labels"]),  # of chats: those that predict a labelled token
    "labelled": labelled,
    "targets": lambda batch: batch["labels"] >= 0,  # of a decoder that reads a text of its own
}


class Distill(Modifier):
    name = "distill"

    def __init__(
        self, plan: DistillPlan, teacher: Teacher, outputs: tuple[str, ...], seed: int = 0, *, compared: str = "tokens"
    ) -> None:
        """`compared`: of which tokens the logits are, by `COMPARED`."""
        self.plan = plan
        self.compared = COMPARED[compared]
        self.teacher = teacher
        self.asks = asked(plan)
        self.seed = seed
        self.optimizer: torch.optim.Optimizer | None = None
        self.projections: dict[str, nn.Parameter] = {}
        self.outputs: list[tuple[str, TermPlan]] = []
        for term in plan.terms:
            if term.kind in OUTPUTS:
                names = outputs if term.output == "logits" else (term.output,)
                self.outputs += [(name, term) for name in names]

    # -------------------------------------------------------------- projections
    def join(self, optimizer: torch.optim.Optimizer) -> None:
        device = optimizer.param_groups[0]["params"][0].device
        generator = torch.Generator().manual_seed(self.seed)
        for number, term in enumerate(self.plan.terms):
            if term.widths is None:
                continue
            ours, theirs = term.widths
            for pair in term.layers:
                drawn = torch.randn(theirs, ours, generator=generator) / ours**0.5
                self.projections[_key(number, pair)] = nn.Parameter(drawn.to(device))
        if self.projections:
            optimizer.add_param_group({"params": [*self.projections.values()]})
        self.optimizer = optimizer

    def state(self) -> dict[str, Tensor]:
        assert self.optimizer is not None or not self.projections
        found = {}
        for key, weight in self.projections.items():
            moments = self.optimizer.state.get(weight, {}) if self.optimizer else {}
            found[key] = weight.detach()
            found |= {f"{key}/{name}": value for name, value in moments.items()}
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        assert self.optimizer is not None or not state
        for where, value in state.items():
            key, _, moment = where.partition("/")
            weight = self.projections[key]
            if not moment:
                weight.data.copy_(value)
            elif self.optimizer is not None:
                self.optimizer.state[weight][moment] = value

    def misfit(
        self, state: Mapping[str, Tensor], step: int, trained: Collection[str], moments: Collection[str]
    ) -> str | None:
        shapes = {
            _key(number, pair): term.widths[::-1]
            for number, term in enumerate(self.plan.terms)
            if term.widths is not None
            for pair in term.layers
        }
        followed = bool(trained) and any(at(self.plan.hardness, s) != 0 for s in range(step))
        for key in shapes:
            kept = {where for where in state if where.partition("/")[0] == key and where != key}
            if key not in state or kept not in ([{f"{key}/{m}" for m in moments}] if followed else [set()]):
                return f"`{key}` is missing or incomplete"
        for where, value in state.items():
            key, _, moment = where.partition("/")
            if key not in shapes:
                return f"`{where}` does not belong there"
            if why := misshapen(where, value, () if moment == "step" else shapes[key], torch.float32):
                return why
        return None

    def fetch(self, rows: np.ndarray, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """What a teacher that only remembers has kept of them."""
        fetch = getattr(self.teacher, "fetch", None)
        return {} if fetch is None else fetch(rows, inputs)

    # --------------------------------------------------------------------- loss
    def on_loss(self, state: State) -> None:
        assert state.loss is not None
        hardness = at(self.plan.hardness, state.step)
        if hardness == 0:
            return
        distilled = self._distilled(state, self.teacher(state))
        state.loss = distilled if hardness == 1 else (1 - hardness) * state.loss + hardness * distilled

    def _distilled(self, state: State, known: Any) -> Tensor:
        temperature = at(self.plan.temperature, state.step)
        ours = state.outputs
        parts: list[Tensor] = []
        if self.outputs:
            mask = self.compared(state.batch)
            for some in self._outputs():
                each = [
                    at(term.weight, state.step)
                    * _apart(term.kind, name, getattr(ours, name), getattr(known, name), temperature, mask)
                    for name, term in some
                ]
                parts.append(torch.stack(each).mean())
        for number, term in enumerate(self.plan.terms):
            weight = at(term.weight, state.step)
            if term.kind not in OUTPUTS and weight:
                each = [self._inner(term.kind, number, pair, ours, known, state) for pair in term.layers]
                stacked = torch.stack(each)
                parts.append(weight * (stacked.sum() if term.kind == "squarehead" else stacked.mean()))
        if parts:
            return torch.stack(parts).sum()
        assert state.loss is not None
        return state.loss * 0.0  # every weight is 0 at this step

    def _outputs(self) -> Iterator[list[tuple[str, TermPlan]]]:
        """Those of one direction share a term, their mean."""
        for reverse in (False, True):
            if some := [(name, term) for name, term in self.outputs if (term.kind == "reverse") == reverse]:
                yield some

    def _inner(self, kind: str, number: int, pair: tuple[int, int], ours: Any, known: Any, state: State) -> Tensor:
        mask = state.batch["attention_mask"].flatten(0, -2)  # choices of a question are items of their own
        student, teacher = pair
        if kind == "attention":
            return attention_loss(ours.attentions[student], known.attentions[teacher], mask)
        states = ours.hidden_states[student + 1]  # the first are the embeddings
        weight = self.projections.get(_key(number, pair))
        if weight is not None:
            with torch.autocast(states.device.type, enabled=False):
                states = F.linear(states.float(), weight)
        compared = squarehead_loss if kind == "squarehead" else hidden_loss
        return compared(states, known.hidden_states[teacher + 1], mask)


def _apart(kind: str, name: str, ours: Tensor, known: Tensor, temperature: float, mask: Tensor | None) -> Tensor:
    """E086 for one logit an item: a softmax over it is 1, whatever the model says, and would teach nothing.

    In a run, the plan knows the head; only somebody else's loop can come here with such a model.
    """
    if name == "embeddings":
        return embedding_loss(ours, known)
    if kind == "number":
        return number_loss(ours, known)
    if ours.dim() < 2 or ours.shape[-1] < 2:
        notes = [f"`{name}` has the shape {tuple(ours.shape)}; a softmax over one logit is always 1"]
        help = "write `task = regression` if it is a number"
        raise fail("E086", f"`{name}` has no classes to compare", help=help, notes=notes)
    return (reverse_loss if kind == "reverse" else kd_loss)(ours, known, temperature, mask)


def _key(term: int, pair: tuple[int, int]) -> str:
    return f"projection-{term}-{pair[0]}-{pair[1]}"
