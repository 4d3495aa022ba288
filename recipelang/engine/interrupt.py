"""SIGINT and SIGTERM: the first asks to stop after the step, the second stops at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType

from recipelang import processes

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequests:
    """`received` is the first signal, or none. Outside the main thread it listens to nothing."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and processes.world() > 1:
            return  # the launcher ends everybody when one has failed: what is to be said is said first
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)  # the last complete checkpoint is still good
        self.received = number
