"""Two recipes on the screen: each change with its places, and what follows from them."""

from __future__ import annotations

from rich.text import Text

from recipelang.cli import screen
from recipelang.provenance.diff import Diff, Side
from recipelang.source.render import line_of


def show(found: Diff, follows: list[tuple[str, float, float]], why: str) -> None:
    console = screen.console()

    def put(*parts: str | tuple[str, str]) -> None:
        console.print(Text.assemble(*parts), soft_wrap=True)

    group = ""
    for change in found.changes:
        if change.group != group:
            put(("\n" if group else "", ""), (change.group, "bold"))
            group = change.group
        put(f"  {line_of('' if change.path.startswith('claim ') else change.path)}".rstrip() or "  claim")
        if change.before is not None:
            put(("    - " + line_of(change.before.text), "red"), (_place(change.before), "dim"))
        if change.after is not None:
            put(("    + " + line_of(change.after.text), "green"), (_place(change.after), "dim"))
    if follows:
        put(("\nplanned", "bold"))
        for name, before, after in follows:
            put(f"  {name:<32} {before:>15,.0f} -> {after:,.0f}")
    elif why:
        put((f"\nplans not compared: {line_of(why)}", "dim"))
    one, other = (d.removeprefix("sha256:")[:8] for d in found.digests)
    end = f"the same experiment, spec {one}" if found.same else f"different experiments: spec {one} -> {other}"
    put(("\n" if found.changes else "", ""), (end, "bold"))


def _place(side: Side) -> str:
    if side.at is None:
        return ""
    return f"   {line_of(side.at.source.name)}:{side.at.source.position(side.at.span.start)[0]}"
