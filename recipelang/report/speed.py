"""Models side by side: how long a forward pass takes, how much that is worth, and how large they are."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from recipelang.kinds.formats import runtime_name
from recipelang.source.render import clean
from recipelang.source.words import amount, plural, short_time, size_text

if TYPE_CHECKING:
    from recipelang.engine.bench import Bench

HEADS = ("model", "time", "speed", "95 % interval", "weights", "not zero", "MACs", "files")


def rows(bench: Bench) -> list[list[str]]:
    """One a model, in the order of `HEADS`."""
    return [
        [
            clean(m.name),
            short_time(median(m.seconds)),
            f"{m.speedup.median:.2f}x",
            f"{m.speedup.low:.2f} to {m.speedup.high:.2f}" if at else "",
            amount(m.parameters),
            amount(m.nonzero),
            amount(m.macs),
            size_text(m.bytes),
        ]
        for at, m in enumerate(bench.models)
    ]


def told(bench: Bench) -> list[str]:
    """What was measured, and how."""
    first = bench.models[0]
    each = plural(bench.batch, "text") + " of " + plural(bench.length, "token")
    on = bench.machine if bench.clock == "GPU time" else f"{plural(bench.threads, 'thread')} of {bench.machine}"
    used = f"{runtime_name(bench.runtime)}, with " + ", ".join(
        f"{name} {version}" for name, version in bench.versions.items()
    )
    said = [
        f"One forward pass over {each}, drawn at random; {bench.clock} on {on}; {used}.",
        f"Median of {plural(bench.rounds, 'round')} in turn; the speed is the ratio of two times of one round"
        f", relative to {clean(first.name)}.",
    ]
    if len({m.model_class for m in bench.models}) > 1:
        said.append("The models are of different classes: " + ", ".join(m.model_class for m in bench.models) + ".")
    if len({m.dtype for m in bench.models}) > 1:
        said.append("The weights are of different dtypes: " + ", ".join(m.dtype for m in bench.models) + ".")
    return said


def shown(bench: Bench) -> RenderableType:
    grid = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    for head in HEADS:
        grid.add_column(head, justify="left" if head == "model" else "right", no_wrap=head != "model", overflow="fold")
    for row in rows(bench):
        grid.add_row(*map(Text, row))
    return Group(grid, Text(""), *(Text(line, "dim") for line in told(bench)))
