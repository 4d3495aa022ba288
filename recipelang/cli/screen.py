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
