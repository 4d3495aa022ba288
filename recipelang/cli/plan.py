"""`recipelang plan`: everything a run would do, before it does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import typer

from recipelang.cli import options, screen
from recipelang.cli.exit_codes import Exit
from recipelang.cli.locking import beside, pins_of
from recipelang.cli.read import Around, read_around, read_recipe
from recipelang.source import Diagnostics, RecipeError
from recipelang.spec.recipe import Checked, Recipe

if TYPE_CHECKING:
    from recipelang.planning.types import Plan


def plan(
    file: options.File,
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    as_json: bool = typer.Option(False, "--json", help="Print the plan as JSON, with every tensor and event."),
) -> None:
    """Show what a run would do: tensors, steps, events, schedules, memory, claims.

    Reads the model's config and the shapes in its weight files, and counts the
    data; loads no weights and takes no step.

    Examples:

      recipelang plan squad.recipe

      recipelang plan squad.recipe -p target=97% --json
    """
    recipe, made, found = planned(file, read_around(param, params, overlay))
    if as_json:
        print(screen.json_text(made.model_dump(mode="json")))
    else:
        from recipelang.cli.plan_screen import full

        console = screen.console()
        console.print(full(recipe, made, console.width))
        if len(found):
            console.print()
    screen.show(found.sorted())


#: what holds a recipe's references to commits of the Hub
Pinning = Callable[[Checked], Mapping[str, str]]


def planned(
    file: str,
    around: Around = Around(),
    *,
    rehearsal: int | None = None,
    advice: bool = True,
    pinning: Pinning | None = None,
) -> tuple[Recipe, Plan, Diagnostics]:
    """A recipe file to a plan, with advice on it; every error of the way at once, then `RecipeError`.

    The lock beside the recipe pins what it refers to, unless `pinning` does.
    """
    checked = read_recipe(file, around, complete=True)
    checked.diagnostics.raise_errors()
    if checked.recipe is None:
        raise RecipeError(checked.diagnostics.sorted())
    from recipelang.cli.trust import only_what_the_user_names
    from recipelang.planning.resolve import resolve

    only_what_the_user_names(checked, around)
    pins = pinning(checked) if pinning is not None else pins_of(file, checked.recipe)
    made = resolve(checked.recipe, beside(file), checked.diagnostics, rehearsal=rehearsal, pins=pins)
    checked.diagnostics.raise_errors()
    if made is None:
        raise typer.Exit(Exit.ERRORS)
    if advice:
        from recipelang.lint import advise

        checked.diagnostics.extend(advise(checked, made, beside(file)))
    return checked.recipe, made, checked.diagnostics
