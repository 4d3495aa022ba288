"""`recipelang trace`: where a value comes from."""

from __future__ import annotations

import sys

import typer

from recipelang.cli import complete, options, screen
from recipelang.cli.exit_codes import Exit
from recipelang.cli.screen.trace import lines, listed
from recipelang.loading.read import read_around, read_recipe
from recipelang.source import fail
from recipelang.source.suggest import closest
from recipelang.spec.trace import known_paths, trace as traced


def trace(
    file: options.File,
    path: str = typer.Argument(
        "",
        metavar="[PATH]",
        help="An attribute such as `stage.sparse.prune.weights.sparsity`, a parameter or a `let`; the default is all values.",
        autocompletion=complete.paths,
    ),
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
) -> None:
    """Show where a value comes from: the file and line of each assignment, and of every name in it.

    If a value is assigned more than once, the last assignment counts; the others are marked as replaced.

    Examples:

      recipelang trace squad.recipe stage.sparse.prune.weights.sparsity

      recipelang trace squad.recipe target -p target=97%

      recipelang trace squad.recipe       (every value)
    """
    around = read_around(param, params, overlay)
    checked = read_recipe(file, around)
    screen.show(checked.diagnostics.sorted())
    if checked.composed is None or checked.evaluator is None:
        raise typer.Exit(Exit.ERRORS)
    known = known_paths(checked)
    found = traced(checked, around.given, path) if path else None
    if found is not None:
        screen.tell("\n".join(lines(found, "")))
    elif path:
        near = closest(path, known)
        help = f"did you mean `{near}`?" if near else "`recipelang trace FILE` lists all there are"
        raise fail("E022", f"the recipe has no `{path}`", help=help)
    else:
        every = [short for one in known if (short := traced(checked, around.given, one)) is not None]
        for line in listed(every):
            screen.tell(line)
    if checked.diagnostics.errors:
        print(file=sys.stderr)
        raise typer.Exit(Exit.ERRORS)
