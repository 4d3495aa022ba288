"""Where the time of a run goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds by what was done, and how often. What is done inside something else is not counted there too."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._inside: list[float] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self._inside.append(0.0)
        try:
            yield
        finally:
            took = time.monotonic() - began
            self.seconds[name] += took - self._inside.pop()  # type: ignore[assignment]
            self.counts[name] += 1
            if self._inside:
                self._inside[-1] += took
