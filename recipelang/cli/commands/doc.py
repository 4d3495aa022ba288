"""`recipelang doc`: the documentation of a recipe."""

from __future__ import annotations

import typer

from recipelang.cli import options, screen
from recipelang.cli.exit_codes import Exit


def doc(
    file: options.File,
) -> None:
    """Write a Markdown page about a recipe: comments, parameters, stages, claims.

    Each `##` comment appears next to the item it documents; an attribute without a comment
    gets its description from the reference. Values inherited from a base are included, and a
    base whose parameters have no values can be documented too. Text of the recipe is never
    read as Markdown or HTML.

    Examples:

      recipelang doc squad.recipe

      recipelang doc squad.recipe > squad.md
    """
    from recipelang.loading.read import read_around, read_recipe
    from recipelang.reference.recipe import text

    checked = read_recipe(file, read_around())
    screen.show(checked.diagnostics.sorted())
    if checked.diagnostics.errors:
        raise typer.Exit(Exit.ERRORS)
    print(text(checked, "FILE" if file == "-" else file), end="")
