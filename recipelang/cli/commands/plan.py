"""`recipelang plan`: everything a run would do, before it does it."""

from __future__ import annotations

import typer

from recipelang.cli import options, screen
from recipelang.loading.read import read_around, typed


def plan(
    file: options.File,
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    as_json: bool = typer.Option(False, "--json", help="Print the plan as JSON, with every tensor and every event."),
) -> None:
    """Show what a run would do: tensors, steps, events, schedules, memory, claims.

    The command reads the model's config and the shapes in its weight files, and counts
    the examples. It loads no weights and trains nothing.

    Examples:

      recipelang plan squad.recipe

      recipelang plan squad.recipe -p target=97% --json
    """
    from recipelang.api import planned

    made = planned.plan(typed(file), around=read_around(param, params, overlay))
    if as_json:
        print(screen.json_text(made.model_dump(mode="json")))
    else:
        from recipelang.report.plan_screen import full

        console = screen.console()
        console.print(full(made.recipe, made, console.width))
        if len(made.diagnostics):
            console.print()
    screen.show(made.diagnostics.sorted())
