"""What a command says while it does something that takes seconds, and that nobody asked for by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar

#: who shows it; nobody does of a call from Python
shown_by: ContextVar[Callable[[str], None] | None] = ContextVar("shown_by", default=None)


def waiting(text: str) -> None:
    """Say what is being done, where somebody is there to read it."""
    if show := shown_by.get():
        show(text)


def on_terminal(text: str) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
