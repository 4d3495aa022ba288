"""Examples that are read when they are first asked for: model inputs that were prepared before need none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload


class Later(Sequence[Any]):
    """A sequence that `read` makes at its first use; `check` is then called, and may refuse it."""

    def __init__(self, read: Callable[[], Sequence[Any]]) -> None:
        self._read = read
        self._found: Sequence[Any] | None = None
        self.check: Callable[[], None] = lambda: None

    def _all(self) -> Sequence[Any]:
        if self._found is None:
            found = self._read()
            self.check()
            self._found = found
        return self._found

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Any]: ...
    def __getitem__(self, at: int | slice) -> Any:
        return self._all()[at]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())
