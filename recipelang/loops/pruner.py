"""What a loop calls at its six events, and keeps in its checkpoints."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.attention_maps import show_maps
from recipelang.engine.losses import MODEL_LOSS, ModelLoss
from recipelang.engine.run_record import emptied, warn_of_emptied
from recipelang.loops.notices import RecipeWarning, warn
from recipelang.loops.teacher import inputs_of, named
from recipelang.loops.unread import Unread
from recipelang.modifiers.distill import Distill
from recipelang.modifiers.modifier import Event, Modifier, State, fire
from recipelang.modifiers.prune import Prune
from recipelang.planning.types import StagePlan
from recipelang.pruning import shards
from recipelang.pruning.masks import Masks
from recipelang.pruning.scores import precise
from recipelang.source import RecipeError, fail


@dataclass(frozen=True)
class Report:
    """What is zero now, counted in the weights; `planned` is the sparsity in force."""

    step: int
    steps: int
    planned: float
    sparsity: float
    tensors: dict[str, float]

    def __str__(self) -> str:
        return f"step {self.step:,} of {self.steps:,}: {self.sparsity:.2%} zeros, {self.planned:.2%} planned"


class Pruning:
    """One stage of a recipe, in a loop that is not ours. In full:

        for step in range(pruning.steps):
            pruning.step_start()
            for part in micro_batches:
                outputs = model(**part)
                loss = pruning.loss(outputs.loss, outputs, part)
                backward(loss)
            pruning.gradients()      # before clipping, after a scaler's `unscale_`
            clip(); optimizer.step(); optimizer.zero_grad()
            pruning.step_end()
        pruning.end()

    Where a teacher's hidden states or attention maps are matched, the model is called as
    `model(**part, **pruning.asks)`. The first `step_start` is the event `START` as well. `loss` may be left out where the stage has no
    `distill`, `label_smoothing` or `class_weights`.
    """

    def __init__(
        self,
        plan: StagePlan,
        state: State,
        modifiers: Sequence[Modifier],
        *,
        compared: str = "tokens",
        loss_of: ModelLoss = MODEL_LOSS,
    ) -> None:
        """`compared`: at which tokens a teacher is, as for `distill`. `loss_of`: what the stage trains on."""
        self.plan = plan
        self.steps = plan.steps
        self._state = state
        self._modifiers = modifiers
        self._next = "step_start"
        self._started = self._ended = self._fresh = False
        self._losses = 0
        self._compared = compared
        #: what the model is called with beside a batch
        self.asks = {name: True for m in modifiers for name in m.asks}
        self._distills = any(isinstance(m, Distill) for m in modifiers)
        self._loss_of = loss_of
        observing = [m for m in modifiers if isinstance(m, Prune) and m.observes]
        seen = {t.name for m in observing for t in m.plan.targets}
        self._scores = [m.score for m in observing]
        self._unread = Unread()
        self._observed = [p for n, p in state.model.named_parameters() if n in seen]

    @property
    def step(self) -> int:
        """Steps done."""
        return self._state.step

    @property
    def model(self) -> nn.Module:
        return self._state.model

    @property
    def masks(self) -> Masks:
        return self._state.masks

    # -------------------------------------------------------------------- events
    def step_start(self) -> None:
        """Masks change where an event is planned, and the learning rate is set. Before the forward pass."""
        self._expect("step_start")
        shards.rest(self.model)
        if self.step >= self.steps:
            raise self._wrong(
                f"this stage has {self.steps:,} steps, but the loop continues",
                "end the loop after `pruning.steps`, or lengthen the stage",
            )
        if self.step == 0 and not self._started:
            fire(Event.START, self._modifiers, self._state)
            self._started = True
        before = self._planned_events(self.step)
        if before:
            self._judge()
        fire(Event.STEP_START, self._modifiers, self._state)
        self._fresh = self._fresh or before or self.step == 0
        self._losses = 0
        self._next = "gradients"

    def loss(self, loss: Tensor, outputs: Any = None, batch: Mapping[str, Any] | None = None) -> Tensor:
        """The loss to take gradients of: the task's, and what the teacher adds. Once a micro-batch.

        Args:
            loss: of the task, a mean over the micro-batch.
            outputs: of the model: of transformers, a mapping, or a tensor, which is `logits`.
            batch: what the model was called with, by name.
        """
        self._expect("gradients", "loss")
        self._losses += 1
        if not self.changes_loss:
            return loss
        if outputs is None or batch is None:
            what = "a distilled loss" if self._distills else "the loss of the recipe"
            raise self._wrong(f"{what} needs outputs and batch", "call `pruning.loss(loss, outputs, batch)`")
        state = self._state
        if self.plan.loss is not None:
            loss = self._of_labels(named(outputs), batch)
        if not self._distills:
            return loss
        state.loss, state.outputs, state.batch = loss, named(outputs), inputs_of(batch)
        if self._compared in ("targets", "labelled") and batch.get("labels") is not None:
            state.batch["labels"] = batch["labels"]
        elif self._compared == "targets":
            help = "pass the batch with the target's tokens as `labels`, -100 at padding"
            raise self._wrong("an encoder-decoder is compared at its labels, and the batch has none", help)
        self._gave_what_was_asked()
        try:
            fire(Event.LOSS, self._modifiers, state)
        except AttributeError as error:
            if error.obj is not state.outputs:
                raise
            help = "use names of the model's outputs in `on = [...]`"
            raise self._wrong(f"the model's outputs have no `{error.name}`", help) from None
        result = state.loss
        state.loss = state.outputs = None  # no graph is kept
        state.batch = {}
        return result

    @property
    def changes_loss(self) -> bool:
        """Whether the stage trains on more than the loss of the task, so that `loss` has to be called."""
        return self._distills or self.plan.loss is not None

    def _of_labels(self, outputs: Any, batch: Mapping[str, Any]) -> Tensor:
        """With label smoothing and class weights, of what the model said. E086 without logits and labels."""
        labels, logits = batch.get("labels"), getattr(outputs, "logits", None)
        if labels is None or logits is None:
            lacking = "logits" if logits is None else "labels"
            help = "the model returns `logits`, and the batch has `labels`: -100 where nothing is to be learned"
            raise self._wrong(f"the loss of this recipe needs `{lacking}`", help)
        return self._loss_of(outputs, batch)

    def gradients(self) -> None:
        """Scores look at the gradients, and those of masked weights are zeroed. Before clipping."""
        self._expect("gradients")
        if self.changes_loss and not self._losses:
            raise self._wrong("the loop never called `pruning.loss`", "call `pruning.loss` before `backward`")
        self._look([p.grad for p in self._observed if p.grad is not None])
        fire(Event.GRADIENTS, self._modifiers, self._state)
        self._next = "step_end"

    def step_end(self) -> None:
        """After the optimizer's step."""
        self._expect("step_end")
        fire(Event.STEP_END, self._modifiers, self._state)
        if self._state.skipped:
            self._broke(self.step)
        elif self._unread.due:
            self._judge()
        self._state.step += 1
        if self._fresh:  # what an optimizer does to a masked weight it does at once
            self._still_zero("the optimizer moves masked weights", f"it is a {type(self._state.optimizer).__name__}")
            self._fresh = False
        self._next = "step_start"

    def end(self) -> None:
        """After the last step: events that fall on the very end. A loop that ended early is warned of."""
        self._expect("step_start", "end")
        shards.rest(self.model)
        if self._ended:
            return
        self._judge()
        self._still_zero("masked weights are no longer zero", "weights were loaded or set without their masks")
        if self.step < self.steps:
            text = f"the loop ended at step {self.step:,} of {self.steps:,}; {self.report()}"
            warnings.warn(text, RecipeWarning, stacklevel=2)
            return
        fire(Event.END, self._modifiers, self._state)
        if "output_attentions" in self.asks:
            show_maps(self.model, False)
        self._ended = True
        shares = self.report().tensors
        warn(warn_of_emptied(emptied([self.plan], shares), shares).sorted(), stacklevel=2)

    # --------------------------------------------------------------- checkpoints
    def state_dict(self) -> dict[str, Any]:
        """Between two steps, in every process. Model and optimizer are the loop's to save; they go with it."""
        self._expect("step_start", "state_dict")
        shards.rest(self.model)
        self._judge()
        return {
            "plan": self._digest(),
            "step": self.step,
            "started": self._started,
            "ended": self._ended,
            "masks": {n: m.clone() for n, m in self.masks.state().items()},  # an event changes them in place
            "modifiers": {f"{m.name}/{k}": shards.whole(v) for m in self._modifiers for k, v in m.state().items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """After model and optimizer have theirs. E083 for the state of another plan."""
        if state["plan"] != self._digest():
            help = "attach with the recipe, stage and `steps_per_epoch` it was saved with"
            raise fail("E083", "this state belongs to another plan", help=help)
        shards.rest(self.model)
        parameters = dict(self.model.named_parameters())
        self.masks.drop([n for n in self.masks.state() if n not in state["masks"]])
        self.masks.load(dict(state["masks"]), parameters)
        device = next(iter(parameters.values())).device
        for modifier in self._modifiers:
            at = f"{modifier.name}/"
            own = {n.removeprefix(at): v for n, v in state["modifiers"].items() if modifier.name and n.startswith(at)}
            modifier.load({n: v.to(device) for n, v in own.items()})
        self._state.step = int(state["step"])
        self._started, self._ended = bool(state["started"]), bool(state["ended"])
        self._next = "step_start"

    def report(self) -> Report:
        """The sparsity of the targets and of all that is masked, counted now; of a model in shards by all processes."""
        shards.rest(self.model)
        names = dict.fromkeys([t.name for p in self.plan.prunes for t in p.targets] + [*self.masks.state()])
        parameters = dict(self.model.named_parameters())
        zeros = dict(zip(names, shards.zeros(parameters[n] for n in names), strict=True))
        sizes = {n: parameters[n].numel() for n in names}
        last = self.step if self._ended else self.step - 1
        return Report(
            self.step,
            self.steps,
            _planned_by(self.plan, last),
            sum(zeros.values()) / max(1, sum(sizes.values())),
            {n: zeros[n] / sizes[n] for n in names},
        )

    # ------------------------------------------------------------------- checks
    def _expect(self, event: str, called: str = "") -> None:
        if self._next != event:
            order = "`step_start`, `loss`, `gradients`, `step_end`; after the last step `end`"
            raise self._wrong(
                f"`{called or event}` was called where `{self._next}` was expected",
                f"call them in this order: {order}",
            )

    def _wrong(self, message: str, help: str) -> RecipeError:
        return fail("E086", message, help=help, notes=[f"step {self.step:,} of stage `{self.plan.name}`"])

    def _gave_what_was_asked(self) -> None:
        for ask in self.asks:
            if getattr(self._state.outputs, ask.removeprefix("output_"), None) is None:
                raise self._wrong(f"the model was not called with `{ask}`", "call the model with `**pruning.asks`")
        if self.asks and "attention_mask" not in self._state.batch:
            raise self._wrong("the batch has no `attention_mask`", "add it: it marks padding")

    def _planned_events(self, step: int) -> bool:
        return any(e.step == step for p in self.plan.prunes for e in p.events)

    def _still_zero(self, message: str, note: str) -> None:
        if not self.masks.holds():
            help = "use another optimizer, or load weights before `attach`"
            raise fail("E086", message, notes=[f"step {self.step:,} of stage `{self.plan.name}`; {note}"], help=help)

    def _look(self, gradients: Sequence[Tensor]) -> None:
        """A score that adds gradients up would not forget one that is not finite, as of a step that a scaler skips.

        On a CPU that is known at once; elsewhere the scores leave such a step out, and nobody waits for the device.
        """
        waits = not gradients or gradients[0].device.type == "cpu" or any(map(shards.is_shard, gradients))
        broken = None
        if waits or not all(score.heeds for score in self._scores):
            self._state.skipped = not self._finite(gradients)
        else:
            self._state.skipped = False
            broken = ~torch.isfinite(_norms(gradients))
            self._unread.note(self.step, broken)
        self._state.broken = broken

    def _judge(self) -> None:
        """Whether a step since the last reading was broken, and was not skipped."""
        if (first := self._unread.read()) is not None:
            self._broke(first)

    def _broke(self, step: int) -> None:
        """E082, if a step whose gradients are not finite was taken, and no scaler skipped it: the weights show it."""
        if self._finite([p.detach() for p in self._observed]):
            return
        help = "lower the learning rate, or scale the loss and let the scaler skip these steps"
        if step == 0:  # no update was made yet
            help = "check the weights and the data, or scale the loss and let the scaler skip these steps"
        raise fail("E082", f"gradients are not finite at step {step:,}", help=help)

    def _finite(self, tensors: Sequence[Tensor]) -> bool:
        seen = float(_norms(tensors)) if tensors else 0.0
        if any(map(shards.is_shard, tensors)):
            (seen,) = processes.total(seen)
        return math.isfinite(seen)

    def _digest(self) -> str:
        kept = {"checkpoint_every", "checkpoint_seconds", "keep", "index"}
        return hashlib.sha256(self.plan.model_dump_json(exclude=kept).encode()).hexdigest()


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    """Their sum: a number that is not finite where one of theirs is not. Of shards those of this process."""
    return torch.stack([shards.local(t).norm(dtype=precise(t)) for t in tensors]).sum()


def _planned_by(plan: StagePlan, step: int) -> float:
    """The share of zeros that is planned in all blocks together after a step."""
    reached = [
        (next((e.sparsity for e in reversed(p.events) if e.step <= step), 0.0), sum(t.size for t in p.targets))
        for p in plan.scheduled
    ]
    if len({sparsity for sparsity, _ in reached}) == 1:
        return reached[0][0]  # not through a quotient, which would round
    return sum(sparsity * size for sparsity, size in reached) / max(1, sum(size for _, size in reached))
