"""`recipelang report`: the page of a run, written from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recipelang.cli import complete, screen

if TYPE_CHECKING:
    pass


def report(
    folder: Path = typer.Argument(
        ..., metavar="DIR", help="The output folder of a run, finished or not.", autocompletion=complete.every_run
    ),
    plots: bool = typer.Option(False, "--plots", help="Also write the plots as files, to `DIR/plots`."),
) -> None:
    """Write the page of a run, `DIR/report.html`: curves, sparsity of every matrix, claims, the plan.

    `run` writes the page when it ends; this command also writes it for an interrupted or
    failed run. The page is one file and needs no network. Plots are SVG, and also PNG if
    the extra `recipelang[report]` is installed.

    Examples:

      recipelang report runs/first

      recipelang report runs/first --plots
    """
    from recipelang.engine.records import read_plan
    from recipelang.report.run import write

    plan = read_plan(folder, "E083")
    screen.tell(str(write(folder, plan)))
    if plots:
        from recipelang.engine.records import read_record
        from recipelang.report.curves import read_curves
        from recipelang.report.pictures import write_pictures
        from recipelang.report.run import pictures

        for path in write_pictures(folder, pictures(plan, read_record(folder), read_curves(folder / "tensorboard"))):
            screen.tell(str(path))
