"""How findings reach somebody who wrote a program: as a warning of Python's."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from recipelang.source import Diagnostic
from recipelang.source.render import render


class RecipeWarning(UserWarning):
    """What `recipelang plan` shows as a warning, or a loop that did not do all that was planned."""


def warn(found: Iterable[Diagnostic], stacklevel: int) -> None:
    listed = list(found)
    if listed:
        warnings.warn("\n" + render(listed, colour=False), RecipeWarning, stacklevel=stacklevel + 1)
