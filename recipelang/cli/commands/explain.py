"""`recipelang explain`: the page of a code."""

from __future__ import annotations

import typer

from recipelang.cli import complete, screen
from recipelang.cli.exit_codes import Exit
from recipelang.source.codes import codes, page, rule_names
from recipelang.source.suggest import closest


def explain(
    code: str = typer.Argument(
        ...,
        metavar="CODE",
        help="A code from a message, such as E051, or the name of a lint rule.",
        autocompletion=complete.codes,
    ),
) -> None:
    """Explain a code: its meaning, a recipe that fails with it, and the corrected recipe.

    Examples:

      recipelang explain E051

      recipelang explain no-never
    """
    found = page(rule_names().get(code.lower(), "") or code.upper())
    if found is None:
        near = closest(code.upper(), codes()) or closest(code, rule_names())
        hint = f"; did you mean {near}?" if near else ""
        screen.tell(f"recipelang: there is no code `{code}`{hint}", to_errors=True)
        raise typer.Exit(Exit.USAGE)
    print(found)
