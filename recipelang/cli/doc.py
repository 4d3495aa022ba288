"""`recipelang doc`: the documentation of a recipe."""

from __future__ import annotations

import typer

from recipelang.cli import options, screen
from recipelang.cli.exit_codes import Exit


def doc(
    file: options.File,
) -> None:
    """Describe a recipe in Markdown: comments, parameters, stages, claims.

    What `##` comments say stands beside what they speak of; attributes without a comment
    are told of in the words of the language. What comes from a base is shown as well, and
    a base whose parameters lack values has a page too. No text of a recipe is taken for markup or HTML.

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
