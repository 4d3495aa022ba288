"""`recipelang plan`: everything a run would do, before it does it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recipelang.cli import complete, screen
from recipelang.cli.exit_codes import Exit
from recipelang.cli.read import read_params, read_source
from recipelang.cli.validate import check_all
from recipelang.source import Diagnostics, RecipeError
from recipelang.spec.check import Recipe
from recipelang.spec.params import Given

if TYPE_CHECKING:
    from recipelang.plan.types import Plan


def plan(
    file: str = typer.Argument(
        ..., metavar="FILE", help="The recipe; `-` reads standard input.", autocompletion=complete.recipes
    ),
    param: list[str] = typer.Option(
        [], "-p", "--param", metavar="NAME=VALUE", help="Give a parameter a value.", autocompletion=complete.params
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the plan as JSON, with every tensor and event."),
) -> None:
    """Show what a run would do: tensors, steps, events, schedules, memory, claims.

    Reads the model's config and the shapes in its weight files, and counts the
    data; loads no weights and takes no step.

    Examples:

      recipelang plan squad.recipe

      recipelang plan squad.recipe -p target=97% --json
    """
    recipe, made, found = planned(file, read_params(param))
    if as_json:
        print(made.model_dump_json(indent=2))
    else:
        from recipelang.cli.plan_screen import full

        console = screen.console()
        console.print(full(recipe, made, console.width))
        if len(found):
            console.print()
    screen.show(found.sorted())


def planned(
    file: str, given: dict[str, Given], *, rehearsal: int | None = None, advice: bool = True
) -> tuple[Recipe, Plan, Diagnostics]:
    """A recipe file to a plan, with advice on it; every error of the way at once, then `RecipeError`."""
    source = read_source(file)
    checked = check_all(source, given, complete=True)
    checked.diagnostics.raise_errors()
    if checked.recipe is None:
        raise RecipeError(checked.diagnostics.sorted())
    from recipelang.plan.resolve import resolve

    beside = Path.cwd() if file == "-" else Path(file).resolve().parent
    made = resolve(checked.recipe, beside, checked.diagnostics, rehearsal=rehearsal)
    checked.diagnostics.raise_errors()
    if made is None:
        raise typer.Exit(Exit.ERRORS)
    if advice:
        from recipelang.lint import advise

        checked.diagnostics.extend(advise(checked, made, beside))
    return checked.recipe, made, checked.diagnostics
