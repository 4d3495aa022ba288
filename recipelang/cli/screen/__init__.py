"""What commands share about printing: colour or not, and where errors go."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from recipelang.source import Diagnostic, RecipeError
from recipelang.source.render import clean, render


def colour(stream: object = None) -> bool:
    """Colour on a terminal that knows it, unless `NO_COLOR` says otherwise."""
    stream = stream or sys.stderr
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") in ("dumb", "unknown")
    return not plain and getattr(stream, "isatty", lambda: False)()


def show(diagnostics: Iterable[Diagnostic]) -> None:
    found = list(diagnostics)
    if found:
        print(render(found, colour=colour()), file=sys.stderr)


def show_error(error: RecipeError) -> None:
    show(error.diagnostics)


def tell(text: str = "", *, to_errors: bool = False, flush: bool = False) -> None:
    """Print lines for a person: control characters of names and paths are spelt out. Line ends are the caller's."""
    print(clean(text), file=sys.stderr if to_errors else sys.stdout, flush=flush)


def json_text(form: object) -> str:
    """JSON for a program that is also looked at: characters that a terminal obeys are written as escapes."""
    import json

    return json.dumps(form, indent=2, ensure_ascii=True)


def console():  # type: ignore[no-untyped-def]
    """The rich console for results: as wide as the terminal, in a pipe as `COLUMNS` says, else 100; see `Cleaned`."""
    from rich.console import Console

    from recipelang.report.cleaned import Cleaned

    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    made = Console(width=None if known else 100, highlight=False)
    made.push_render_hook(Cleaned())
    return made
