"""What commands share about printing: colour or not, and where errors go."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from recipelang.source import Diagnostic, RecipeError
from recipelang.source.render import render


def colour(stream: object = None) -> bool:
    """Colour on a terminal, unless `NO_COLOR` says otherwise."""
    stream = stream or sys.stderr
    return "NO_COLOR" not in os.environ and getattr(stream, "isatty", lambda: False)()


def show(diagnostics: Iterable[Diagnostic]) -> None:
    found = list(diagnostics)
    if found:
        print(render(found, colour=colour()), file=sys.stderr)


def show_error(error: RecipeError) -> None:
    show(error.diagnostics)


def console():  # type: ignore[no-untyped-def]
    """The rich console for results: as wide as the terminal, 100 columns in a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 100, highlight=False)
