"""Losses and norms of the last steps, left on the device until somebody has to know them.

On a CPU that is at every step. Elsewhere reading one makes the host wait for the device, and the device then for the
host: they are read every so many steps, before anything is written or measured, and at the end. Then all are judged in
their order, so that a loss that is not finite is found at its own step, and nothing that came of it is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import torch
from torch import Tensor

from recipelang import processes
from recipelang.source import RecipeError, fail

#: steps between two readings on a device, and the most seconds: a slow step is shown when it is done
READ_EVERY = 10
READ_SECONDS = 1.0


@dataclass(frozen=True)
class Seen:
    """A step that was taken; `loss` over all processes."""

    step: int
    loss: float
    norm: float
    sparsity: float


class Watch:
    """As a context it asks, when anything fails inside, whether a step before was not finite: that is then the cause."""

    def __init__(self, stage: str, device: torch.device) -> None:
        self.stage = stage
        self.every = 1 if device.type == "cpu" else READ_EVERY
        #: of a mean over micro-batches; not every device has double precision
        self.precise = torch.float32 if device.type == "mps" else torch.float64
        self.read = time.monotonic()
        self._waiting: list[tuple[int, Tensor, Tensor, float]] = []

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, RecipeError):
            here = self._here()
            half = len(here) // 2
            self._judged(here[:half], here[half:])

    def note(self, step: int, loss: Tensor, norm: Tensor, sparsity: float) -> None:
        """What a step left: this process's share of its loss, the norm of its gradients, and the sparsity after it."""
        self._waiting.append((step, loss, norm, sparsity))

    def agree(self, stop: int, due: bool, *, now: bool = False) -> tuple[int, bool, list[Seen]]:
        """What any process was told to do after this step, and the steps since the last reading, if this is one.

        `now`: read whatever is there. Raises E082 for the first step whose loss or norm is not finite.
        """
        late = self.every > 1 and processes.main() and time.monotonic() - self.read > READ_SECONDS
        reads = now or len(self._waiting) >= self.every
        rows = processes.gathered(stop, due, late, *(self._here() if reads else ()))
        told = [max(column) for column in list(zip(*rows, strict=True))[:3]]
        stop, due = int(told[0]), bool(told[1])
        if not reads:
            if not any(told):
                return stop, due, []
            rows = processes.gathered(0, 0, 0, *self._here())
        steps = len(self._waiting)
        losses = [sum(column) for column in list(zip(*rows, strict=True))[3 : 3 + steps]]
        return stop, due, self._judged(losses, rows[0][3 + steps :])

    def _here(self) -> list[float]:
        """Losses, then norms, in one reading."""
        losses, norms = [one[1] for one in self._waiting], [one[2] for one in self._waiting]
        if not losses:
            return []
        return torch.stack([t.to(self.precise) for t in (*losses, *norms)]).cpu().tolist()  # type: ignore[no-any-return]

    def _judged(self, losses: Sequence[float], norms: Sequence[float]) -> list[Seen]:
        self.read, waiting, self._waiting = time.monotonic(), self._waiting, []
        seen = [Seen(w[0], loss, norm, w[3]) for w, loss, norm in zip(waiting, losses, norms, strict=True)]
        for one in seen:
            if not math.isfinite(one.loss):
                raise _not_finite(f"the loss is {one.loss}", one.step, self.stage)
            if not math.isfinite(one.norm):
                raise _not_finite(f"the norm of the gradients is {one.norm}", one.step, self.stage)
        return seen


def _not_finite(what: str, step: int, stage: str) -> RecipeError:
    """Found before anything of it is kept, so the last checkpoint is good. Before the first update no rate is to blame."""
    help, notes = "lower the learning rate, or warm it up from 0", []
    if step == 0:
        help = "check the weights that the stage starts from, its data, and `precision`"
        notes = ["the weights have not been updated yet, so the learning rate is not the cause"]
    return fail("E082", f"{what} at step {step:,} of stage `{stage}`", notes=notes, help=help)
