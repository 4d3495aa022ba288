"""A stage of a recipe as a callback of Lightning's `Trainer`, which is not among our dependencies."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from recipelang.loops.attach import attach, refuse_shards
from recipelang.loops.pruner import Pruning
from recipelang.loops.teacher import check_distillation
from recipelang.source import fail


class RecipeCallback(Callback):  # type: ignore[misc]
    """`Trainer(..., callbacks=[RecipeCallback("my.recipe", part="model")])`; options are those of `recipelang.attach`.

    Args:
        part: the attribute of the LightningModule that is pruned; names in the recipe are those in it.

    Where the stage distils, `training_step` gives `callback.loss(loss, outputs, batch)` back.
    """

    def __init__(self, recipe: str | Path, *, part: str = "", **options: Any) -> None:
        self.recipe = recipe
        self.part = part
        self.options = options
        self.pruning: Pruning | None = None
        self._saved: Mapping[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model = attrgetter(self.part)(pl_module) if self.part else pl_module
        if len(trainer.optimizers) != 1 or not pl_module.automatic_optimization:
            help = "use `recipelang.attach` in your own training steps"
            raise fail("E086", "exactly one optimizer, stepped by Lightning, is needed", help=help)
        if str(trainer.precision).startswith("16"):
            raise fail("E055", "this release does not support fp16", help='set `precision="bf16-mixed"`')
        refuse_shards(model, "Trainer of Lightning")
        options = {"steps_per_epoch": _steps_per_epoch(trainer), **self.options}
        pruning = self.pruning = attach(self.recipe, model, trainer.optimizers[0], **options)
        check_distillation(pruning.plan)
        planned = trainer.estimated_stepping_batches
        if planned != pruning.steps:
            notes = [f"an epoch has {pruning.plan.steps_per_epoch:,} steps"]
            help = "change `length` in the recipe, or `max_epochs` or `max_steps` of the Trainer"
            raise fail(
                "E086", f"the stage has {pruning.steps:,} steps, the Trainer takes {planned}", notes=notes, help=help
            )
        if trainer.global_step:
            if self._saved is None:
                help = "continue from a checkpoint written with this callback"
                raise fail("E083", "the checkpoint holds no masks", help=help)
            pruning.load_state_dict(self._saved)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._attached.step_start()

    def loss(self, loss: torch.Tensor, outputs: Any, batch: Mapping[str, Any]) -> torch.Tensor:
        """As `Pruning.loss`; before the training, in a sanity check, the loss as it is."""
        return loss if self.pruning is None else self.pruning.loss(loss, outputs, batch)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Lightning clips after this."""
        self._attached.gradients()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The last events come before Lightning saves."""
        if trainer.global_step > self._attached.step:
            self._attached.step_end()
        if self._attached.step == self._attached.steps:
            self._attached.end()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._attached.end()

    def state_dict(self) -> dict[str, Any]:
        return {} if self.pruning is None else self.pruning.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._saved = state_dict or None

    @property
    def _attached(self) -> Pruning:
        assert self.pruning is not None
        return self.pruning


def _steps_per_epoch(trainer: Trainer) -> int:
    batches = trainer.num_training_batches
    if batches == float("inf"):
        raise fail("E086", "the length of the training data is unknown", help="pass `steps_per_epoch=`")
    return max(1, -(-int(batches) // trainer.accumulate_grad_batches))
