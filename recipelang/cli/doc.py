"""`recipelang doc`: the documentation of a recipe."""

from __future__ import annotations

import typer

from recipelang.cli import complete, screen
from recipelang.cli.exit_codes import Exit
from recipelang.cli.read import read_source


def doc(
    file: str = typer.Argument(
        ..., metavar="FILE", help="The recipe; `-` reads standard input.", autocompletion=complete.recipes
    ),
) -> None:
    """Describe a recipe in Markdown: comments, parameters, stages, claims.

    What `##` comments say stands beside what they speak of; attributes without a comment
    are told of in the words of the language. A base whose parameters lack values has a
    page too. No text of a recipe is taken for markup or HTML.

    Examples:

      recipelang doc squad.recipe

      recipelang doc squad.recipe > squad.md
    """
    from recipelang.cli.validate import check_all
    from recipelang.reference.recipe import text

    checked = check_all(read_source(file), {})
    screen.show(checked.diagnostics.sorted())
    if checked.diagnostics.errors:
        raise typer.Exit(Exit.ERRORS)
    print(text(checked, "FILE" if file == "-" else file), end="")
