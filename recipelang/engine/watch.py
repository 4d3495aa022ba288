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
from recipelang.engine.precision import LEAST, overflowed
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
    skipped: bool = False  # for an overflow in fp16: it changed nothing
    scale: float = 1.0  # of the loss, from the next step on


class Watch:
    """As a context it asks, when anything fails inside, whether a step before was not finite: that is then the cause."""

    def __init__(self, stage: str, device: torch.device) -> None:
        self.stage = stage
        self.every = 1 if device.type == "cpu" else READ_EVERY
        #: of a mean over micro-batches; not every device has double precision
        self.precise = torch.float32 if device.type == "mps" else torch.float64
        self.read = time.monotonic()
        self._waiting: list[tuple[int, float, tuple[Tensor, ...]]] = []

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, RecipeError):
            self._judged(*self._columns(self._here()))

    def note(
        self,
        step: int,
        loss: Tensor,
        norm: Tensor,
        sparsity: float,
        broken: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> None:
        """What a step left: this process's share of its loss, the norm of its gradients, and the sparsity after it.

        Of a scaled loss whether the step was skipped, and the scale of the next one.
        """
        scaled = () if broken is None or scale is None else (broken, scale.clone())  # which changes in place
        self._waiting.append((step, sparsity, (loss, norm, *scaled)))

    def agree(self, stop: int, due: bool, *, now: bool = False) -> tuple[int, bool, list[Seen]]:
        """What any process was told to do after this step, and the steps since the last reading, if this is one.

        `now`: read whatever is there. Raises E082 for the first step whose loss or norm is not finite, and
        was not skipped; E171 where no scale is left that could help.
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
        each = [self._columns(row[3:]) for row in rows]
        losses = [sum(column) for column in zip(*(next(iter(columns), ()) for columns in each), strict=True)]
        return stop, due, self._judged(losses, *each[0][1:])

    def _here(self) -> list[float]:
        """Losses, then norms, in one reading; then, of a scaled loss, which steps were skipped, and the scales."""
        if not self._waiting:
            return []
        columns = zip(*(tensors for *_, tensors in self._waiting), strict=True)
        return torch.stack([t.to(self.precise) for column in columns for t in column]).cpu().tolist()  # type: ignore[no-any-return]

    def _columns(self, numbers: Sequence[float]) -> list[Sequence[float]]:
        steps = len(self._waiting)
        return [numbers[at : at + steps] for at in range(0, len(numbers), max(1, steps))]

    def _judged(self, *columns: Sequence[float]) -> list[Seen]:
        self.read, waiting, self._waiting = time.monotonic(), self._waiting, []
        seen = []
        for (step, sparsity, _), loss, norm, *scaled in zip(waiting, *columns, strict=True):
            skipped, scale = scaled or (0.0, 1.0)
            seen.append(Seen(step, loss, norm, sparsity, bool(skipped), scale))
        for one in seen:
            if one.skipped:
                if one.scale < LEAST:
                    raise overflowed(f"at step {one.step:,} of stage `{self.stage}`", finite=math.isfinite(one.loss))
                continue
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
