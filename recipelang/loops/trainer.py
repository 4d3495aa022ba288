"""A stage of a recipe as a callback of transformers' `Trainer`.

The Trainer clips before its callbacks may touch the gradients, so its own clipping is off (`max_grad_norm=0`) and
the recipe's `clip` is done here. What a teacher adds to the loss is added in the model's forward pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from recipelang import processes
from recipelang.loops.attach import attach, refuse_shards
from recipelang.loops.pruner import Pruning
from recipelang.loops.teacher import check_distillation
from recipelang.source import fail
from recipelang.storage.forms import Count, Form, Hex
from recipelang.storage.reading import Unreadable, check_regular
from recipelang.storage.strict_json import parse_model

#: beside the Trainer's own files in its checkpoints
FILE = "recipelang.safetensors"


class RecipeCallback(TrainerCallback):
    """`Trainer(..., callbacks=[RecipeCallback("my.recipe")])`; options are those of `recipelang.attach`.

    Its `pruning` is there from the first step on.
    """

    def __init__(self, recipe: str | Path, **options: Any) -> None:
        self.recipe = recipe
        self.options = options
        self.pruning: Pruning | None = None
        self._hooks: list[RemovableHandle] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        refuse_shards(more["model"], "Trainer")
        options = {"steps_per_epoch": _steps_per_epoch(args, more.get("train_dataloader")), **self.options}
        pruning = self.pruning = attach(self.recipe, more["model"], more["optimizer"], **options)
        _check(args, state, pruning)
        if state.global_step:
            _load(_folder(args, state) / FILE, pruning)
        if pruning.changes_loss:
            self._hooks = [
                pruning.model.register_forward_pre_hook(self._ask, with_kwargs=True),
                pruning.model.register_forward_hook(self._distil(args), with_kwargs=True),
            ]

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        self._attached.step_start()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        self._attached.gradients()
        if self._attached.plan.clip is not None:
            nn.utils.clip_grad_norm_(self._attached.model.parameters(), self._attached.plan.clip)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """The Trainer logs what its scheduler says; the rate in force is another."""
        scheduler = getattr(more["lr_scheduler"], "scheduler", more["lr_scheduler"])
        scheduler._last_lr = [group["lr"] for group in more["optimizer"].param_groups]

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """The last events come before the Trainer evaluates and saves."""
        self._attached.step_end()
        if self._attached.step == self._attached.steps:
            self._attached.end()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        if state.is_world_process_zero:
            _save(self._attached, _folder(args, state) / FILE)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        for hook in self._hooks:
            hook.remove()
        self._attached.end()

    @property
    def _attached(self) -> Pruning:
        assert self.pruning is not None
        return self.pruning

    def _ask(self, model: nn.Module, positional: Any, batch: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return positional, {**batch, **self._attached.asks} if model.training else batch

    def _distil(self, args: TrainingArguments) -> Any:
        """A hook of the model: its loss, in training, is the distilled one."""

        def hook(model: nn.Module, positional: object, batch: Mapping[str, Any], outputs: Any) -> Any:
            if not model.training or not torch.is_grad_enabled():
                return outputs
            if getattr(outputs, "loss", None) is None:
                help = "let the model compute its loss: no `compute_loss_func`, and no smoothing by the Trainer"
                raise fail("E086", "the model returns no loss for the recipe to change", help=help)
            if batch.get("num_items_in_batch") is not None and args.gradient_accumulation_steps * processes.world() > 1:
                help = "set `gradient_accumulation_steps=1`, on one process"
                notes = ["this model's loss is normalised over the whole batch, the teacher's term over each part"]
                notes = (
                    notes
                    if self._attached.plan.distills
                    else [f"{notes[0].partition(',')[0]}, the recipe's over each part"]
                )
                what = "be distilled" if self._attached.plan.distills else "be trained with the recipe's loss"
                raise fail("E086", f"this model cannot {what} on parts of a batch", notes=notes, help=help)
            outputs.loss = self._attached.loss(outputs.loss, outputs, batch)
            return outputs

        return hook


def _steps_per_epoch(args: TrainingArguments, loader: Any) -> int:
    try:
        batches = len(loader)
    except TypeError:
        help = "pass `steps_per_epoch=`"
        raise fail("E086", "the length of the training data is unknown", help=help) from None
    return max(1, -(-batches // args.gradient_accumulation_steps))


def _check(args: TrainingArguments, state: TrainerState, pruning: Pruning) -> None:
    """What would go wrong later is said before the first step."""
    if args.max_grad_norm:
        clip = pruning.plan.clip
        notes = ["it clips before its callbacks, so the norm includes the gradients of masked weights"]
        help = (
            f"set `max_grad_norm=0`: the recipe's `clip = {'none' if clip is None else f'{clip:g}'}` is applied instead"
        )
        raise fail("E086", "the Trainer would clip too early", notes=notes, help=help)
    check_distillation(pruning.plan)
    if args.fp16:
        raise fail("E055", "this release does not support fp16", help="set `bf16=True`")
    if state.max_steps != pruning.steps:
        notes = [f"an epoch has {pruning.plan.steps_per_epoch:,} steps"]
        help = "change `length` in the recipe, or `num_train_epochs` or `max_steps` of the Trainer"
        message = f"the stage has {pruning.steps:,} steps, the Trainer takes {state.max_steps:,}"
        raise fail("E086", message, notes=notes, help=help)
    if args.load_best_model_at_end and any(e.step for p in pruning.plan.prunes for e in p.events):
        help = "remove `load_best_model_at_end`"
        raise fail("E086", "the best model may predate the last pruning event", help=help)


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir or "") / f"checkpoint-{state.global_step}"


class Saved(Form):
    """What the callback keeps of a stage beside its tensors."""

    plan: Hex
    step: Count
    started: bool
    ended: bool


def _save(pruning: Pruning, path: Path) -> None:
    body = pruning.state_dict()
    tensors = {f"{kind}/{n}": t.contiguous() for kind in ("masks", "modifiers") for n, t in body.pop(kind).items()}
    save_file(tensors, path, {"state": json.dumps(body)})


def _load(path: Path, pruning: Pruning) -> None:
    if not path.is_file():
        help = "continue from a checkpoint written with this callback, in `output_dir`"
        raise fail("E083", f"there is no `{path}`", help=help)
    try:
        check_regular(path)
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            body: dict[str, Any] = parse_model(file.metadata()["state"], Saved).model_dump()
    except (Unreadable, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise fail("E083", f"`{path}` is damaged", notes=[str(error)[:160]], help="use an earlier checkpoint") from None
    for kind in ("masks", "modifiers"):
        body[kind] = {n.removeprefix(f"{kind}/"): t for n, t in tensors.items() if n.startswith(f"{kind}/")}
    pruning.load_state_dict(body)
