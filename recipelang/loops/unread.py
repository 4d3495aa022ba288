"""Whether the gradients of the last steps were finite, left on their device until somebody has to know."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from recipelang.engine import watch


class Unread:
    """The first step since the last reading whose gradients are not finite."""

    def __init__(self) -> None:
        self.first: Tensor | None = None
        self.steps, self.since = 0, time.monotonic()

    def note(self, step: int, broken: Tensor) -> None:
        """`broken`: of this step, on the device."""
        before = torch.full((), -1, dtype=torch.int64, device=broken.device) if self.first is None else self.first
        self.first = torch.where(broken & (before < 0), step, before)
        self.steps += 1

    @property
    def due(self) -> bool:
        """As often as a run reads its losses."""
        late = self.steps > 0 and time.monotonic() - self.since > watch.READ_SECONDS
        return late or self.steps >= watch.READ_EVERY

    def read(self) -> int | None:
        """The host waits here for the device."""
        first = -1 if self.first is None else int(self.first)
        self.first, self.steps, self.since = None, 0, time.monotonic()
        return None if first < 0 else first
