"""A table of latencies on the screen: what each size takes, and where it was measured."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from recipelang.kinds.formats import runtime_name
from recipelang.source.render import clean
from recipelang.source.words import plural, short_time

if TYPE_CHECKING:
    from recipelang.planning.latencies import Latencies


def shown(table: Latencies, file: str) -> RenderableType:
    grid = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    axes = [axis for row in table.rows for axis in row.axes]
    for head in (*axes, "one layer", "beside the layers"):
        grid.add_column(head, justify="right", overflow="fold")
    sizes = product(*(row.sizes for row in table.rows))
    for corner, layer, fixed in zip(sizes, table.layer, table.fixed, strict=True):
        grid.add_row(*(f"{n:,}" for size in corner for n in size), short_time(layer), short_time(fixed))
    each = plural(table.batch, "text") + " of " + plural(table.length, "token")
    lines = [
        f"One forward pass over {each}; {table.clock} on {plural(table.threads, 'thread')} of {table.machine}; "
        f"{runtime_name(table.runtime)}. Medians of {plural(table.rounds, 'round')} in turn, of models with one layer and with two.",
        f"written to {file}: `budget = speedup -> 2, latencies = ...` in `shrink` chooses sizes by it",
    ]
    return Group(grid, Text(""), *(Text(clean(line), "dim") for line in lines))
