"""SIGINT, SIGTERM and SIGHUP: the first asks to stop after the piece of work under way, the second stops at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType, TracebackType

from recipelang import processes

#: of a terminal that is closed; Windows has none
_HANG_UP = getattr(signal, "SIGHUP", None)

#: what is done first when a second signal ends the process at once
_LAST: list[Callable[[], object]] = []


@contextmanager
def at_the_last(act: Callable[[], object]) -> Iterator[None]:
    """Inside, a second signal does this before it ends the process: it should be quick, and must not fail."""
    _LAST.append(act)
    try:
        yield
    finally:
        _LAST.remove(act)


def answered() -> list[int]:
    """The signals that ask to stop. `nohup` has a hang-up ignored, and so it stays."""
    heard = _HANG_UP is not None and signal.getsignal(_HANG_UP) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([_HANG_UP] if heard and _HANG_UP is not None else [])]


class StopRequests:
    """`received` is the first signal, or none. Outside the main thread it listens to nothing.

    `tell`: called inside the handler with the signal, and whether it is the one that stops at once.
    """

    def __init__(self, tell: Callable[[int, bool], object] = lambda number, at_once: None) -> None:
        self.tell = tell
        self.received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in answered()}
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
            if number == _HANG_UP:  # the system and the shell both tell of a closed terminal: nobody is impatient
                return
            acts: list[Callable[[], object]] = [*_LAST, partial(self.tell, number, True)]
            for act in acts:
                with suppress(Exception):
                    act()
            os._exit(128 + number)  # the last complete checkpoint is still good
        self.received = number
        with suppress(Exception):  # a message that cannot be shown stops nothing
            self.tell(number, False)
