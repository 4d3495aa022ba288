"""`recipelang explain`: the page of a code."""

from __future__ import annotations

import sys

import typer

from recipelang.cli import complete
from recipelang.cli.exit_codes import Exit
from recipelang.source.codes import codes, page
from recipelang.source.suggest import closest


def explain(
    code: str = typer.Argument(
        ..., metavar="CODE", help="A code as shown in a message, such as E051.", autocompletion=complete.codes
    ),
) -> None:
    """Tell what a code means, show a recipe that fails with it, and the same recipe mended.

    Example:

      recipelang explain E051
    """
    found = page(code.upper())
    if found is None:
        near = closest(code.upper(), codes())
        hint = f"; did you mean {near}?" if near else ""
        print(f"recipelang: there is no code `{code}`{hint}", file=sys.stderr)
        raise typer.Exit(Exit.USAGE)
    print(found)
