"""What `plan --measure` predicts, as two lines below the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table

from recipelang.source.render import clean
from recipelang.source.words import duration, size_text

if TYPE_CHECKING:
    from recipelang.engine.forecast import Forecast


def shown(forecast: Forecast) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    parts = ", ".join(
        f"{clean(name)} {duration(seconds)}" for name, seconds in forecast.parts.items() if seconds >= 0.5
    )
    table.add_row("time", f"about {duration(forecast.seconds)} on this machine" + (f": {parts}" if parts else ""))
    table.add_row("disk", f"at most {size_text(forecast.most)} during the run, {size_text(forecast.kept)} at its end")
    return Padding(table, (1, 0, 0, 2), expand=False)
