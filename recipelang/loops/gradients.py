"""Gradients that a score asks for between steps, of batches that the loop handed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.losses import MODEL_LOSS, ModelLoss
from recipelang.engine.seeds import stream
from recipelang.modifiers.modifier import State
from recipelang.planning.types import StagePlan
from recipelang.source import fail

Batch = Mapping[str, Tensor]


def loss_of(model: nn.Module, batch: Batch, own: ModelLoss = MODEL_LOSS) -> Tensor:
    """A model of transformers gives its loss itself; with label smoothing or class weights, `own` makes it of its logits."""
    outputs = model(**batch)
    if own is not MODEL_LOSS and "labels" in batch:
        return own(outputs, batch)
    loss = getattr(outputs, "loss", None)
    if isinstance(loss, Tensor):
        return loss
    help = "pass `task_loss=`, a function of the model and a batch"
    raise fail("E086", "the model returns no loss for these batches", help=help)


class Sampler:
    """As `runtime.State.gradients`: of the task's loss alone, in eval mode, leaving no trace.

    An order that torch draws, as a `DataLoader(shuffle=True)` does, is drawn from the recipe's seed: anew at every
    event, the same again within one. The loop's own random stream is as before. Of several processes each takes its
    share of the batches from what it was given, which are its own.
    """

    def __init__(
        self, state: State, batches: Iterable[Batch], loss: Callable[[nn.Module, Batch], Tensor], stage: StagePlan
    ) -> None:
        if isinstance(batches, Iterator):
            help = "pass a list or a DataLoader: every event reads the batches from the start"
            raise fail("E086", "`batches=` can be read only once", help=help)
        self.state = state
        self.batches = batches
        self.loss = loss
        self.stage = stage

    def __call__(self, batches: int, size: int, dense: bool = False) -> Iterator[None]:
        model = self.state.model
        was_training = model.training
        model.eval()
        try:
            for batch in self._drawn(len(range(batches)[processes.mine(batches)])):
                if size and len(next(iter(batch.values()))) != size:
                    have = len(next(iter(batch.values())))
                    help = f"pass batches of {size} (with `drop_last=True`), or write `batch = {have}` in the recipe"
                    raise fail("E086", f"each gradient needs {size} examples, a batch has {have}", help=help)
                model.zero_grad(set_to_none=True)
                with torch.enable_grad():
                    torch.autograd.backward(self.loss(model, batch))
                if not dense:
                    self.state.masks.apply_gradients()
                yield
        finally:
            model.zero_grad(set_to_none=True)
            model.train(was_training)

    def _drawn(self, count: int) -> Iterator[Batch]:
        """`count` batches; from the beginning again when there are fewer."""
        device = next(self.state.model.parameters()).device
        with torch.random.fork_rng(devices=[]):
            own = (processes.rank(),) if processes.rank() else ()  # loaders of the same data draw other orders
            torch.manual_seed(stream(self.stage.seed, self.stage.name, "gradients", self.state.step, *own))
            order = iter(self.batches)
            for number in range(count):
                batch = next(order, None)
                if batch is None:
                    order = iter(self.batches)
                    batch = next(order, None)
                if batch is None:
                    raise fail("E086", "`batches=` is empty", help=f"{count - number} more are needed")
                yield {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()}
