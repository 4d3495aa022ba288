"""How findings reach somebody who wrote a program: under a traceback, or as a warning of Python's."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from recipelang.source import Diagnostic, RecipeError
from recipelang.source.render import render


class RecipeWarning(UserWarning):
    """What `recipelang plan` shows as a warning, or a loop that did not do all that was planned."""


@contextmanager
def told() -> Iterator[None]:
    """Under a traceback stands the finding as a command shows it: place, notes, help."""
    try:
        yield
    except RecipeError as error:
        if not getattr(error, "__notes__", None):
            error.add_note("\n" + render(list(error.diagnostics), colour=False))
        raise


def warn(found: Iterable[Diagnostic], stacklevel: int) -> None:
    listed = list(found)
    if listed:
        warnings.warn("\n" + render(listed, colour=False), RecipeWarning, stacklevel=stacklevel + 1)
