"""The end of a run as a person reads it: the table of claims and the place of the output."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from recipelang.engine.records import Result
from recipelang.source.render import clean
from recipelang.source.words import duration, first_n, plural


def closing(result: Result) -> RenderableType:
    parts: list[RenderableType] = [Text("")]
    if result.plan.rehearsal:
        steps = first_n(result.plan.rehearsal, "step")
        told = f"rehearsal: all figures are of {steps} of every stage; claims are not checked"
        parts.append(Text(told, style="yellow"))
    elif result.verdicts:
        table = Table(box=None, header_style="dim", padding=(0, 2))
        for heading in ("claim", "expected", "measured", "met"):
            table.add_column(heading, overflow="fold")
        for v in result.verdicts:
            met = {True: Text("yes", "green"), False: Text("no", "bold red"), None: Text("?", "bold red")}[v.met]
            table.add_row(f"{v.claim.kind} {clean(v.claim.text)}", v.expected, v.measured, met)
        parts.append(table)
        parts += [Text(f"{text}: {how}", "dim") for text, how in result.measurements.how.items()]
    if result.plan.never:
        parts.append(
            Text(
                f"never: {plural(len(result.plan.never), 'protected tensor')} gained no zeros"
                if not result.gained
                else "never: violated"
            )
        )
    parts += [
        Text(""),
        Text(f"finished in {duration(result.seconds)}; all output is in {result.out}", style="bold"),
        Text(""),
    ]
    return Group(*parts)
