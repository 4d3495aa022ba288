"""`recipelang plan`: everything a run would do, before it does it."""

from __future__ import annotations

import signal
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import typer

from recipelang.cli import options, screen
from recipelang.cli.exit_codes import Exit
from recipelang.loading.read import read_around, typed

if TYPE_CHECKING:
    from recipelang.api.planned import Plan
    from recipelang.engine.forecast import Forecast


def plan(
    file: options.File,
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    measure: bool = typer.Option(
        False, "--measure", help="Run a few steps of every stage here, and predict the time and disk space of the run."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the plan as JSON, with every tensor and every event."),
) -> None:
    """Show what a run would do: tensors, steps, events, schedules, memory, claims.

    The command reads the model's config and the shapes in its weight files, and counts
    the examples. It loads no weights and trains nothing, unless `--measure` asks for a
    few steps of every stage, in a folder that is then removed.

    Examples:

      recipelang plan squad.recipe

      recipelang plan squad.recipe -p target=97% --json

      recipelang plan squad.recipe --measure
    """
    from recipelang.api import planned

    made = planned.plan(typed(file), around=read_around(param, params, overlay))
    if as_json:
        body = made.model_dump(mode="json")
        if measure:
            found = _measured(made)
            body["forecast"] = {"seconds": found.seconds, **asdict(found)}
        print(screen.json_text(body))
    else:
        from recipelang.report.plan_screen import full

        console = screen.console()
        console.print(full(made.recipe, made, console.width))
        if measure:
            from recipelang.report.forecast import shown

            console.print(shown(_measured(made)))
        if len(made.diagnostics):
            console.print()
    screen.show(made.diagnostics.sorted())


def _measured(plan: Plan) -> Forecast:
    from recipelang.engine.forecast import forecast
    from recipelang.engine.models import check_models
    from recipelang.engine.records import Interrupted
    from recipelang.engine.start import may_start

    may_start(plan)
    check_models(plan)
    try:
        return forecast(plan, partial(screen.tell, to_errors=True))
    except Interrupted as stopped:
        screen.tell(f"\nstopped by {signal.Signals(stopped.signal).name}; nothing was measured", to_errors=True)
        raise typer.Exit(Exit.of_signal(stopped.signal)) from None
