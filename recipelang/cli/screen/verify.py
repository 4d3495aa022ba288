"""What was verified, on the screen: a line a check, the claims with who measured them, and the end."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from recipelang.cli import screen
from recipelang.provenance.checks import Check, Verified
from recipelang.source.render import line_of
from recipelang.source.words import plural

_LEVELS = {1: "digests", 2: "signature", 3: "weights", 4: "evaluations"}
_SIGNS = {"ok": "✓", "failed": "✗", "not done": "·"}


def show(where: str, done: Verified) -> None:
    console = screen.console()
    for level, name in _LEVELS.items():
        checks = [c for c in done.checks if c.level == level]
        for check in checks:
            console.print(_line(level, name, check), soft_wrap=True)
    for note in done.notes:
        console.print(Text(f"  {note}", style="dim"), soft_wrap=True)
    if done.claims:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("claim", "expected", "measured", "met", "source"):
            table.add_column(column, overflow="fold")
        for claim in done.claims:
            met = {True: "yes", False: "no", None: "not checked" if done.rehearsed else "?"}[claim.met]
            row = (claim.text, claim.expected, claim.measured, met, claim.by)
            table.add_row(*(Text(line_of(cell)) for cell in row))
        console.print()
        console.print(table)
    failed = sum(c.outcome == "failed" for c in done.checks)
    passed = sum(c.outcome == "ok" for c in done.checks)
    end = (
        f"{failed} of {plural(failed + passed, 'check')} failed" if failed else f"all {plural(passed, 'check')} passed"
    )
    if done.open:
        end += f"; not checked: {'; '.join(done.open)}"
    console.print(Text(f"\n{line_of(where)}: {end}", style="bold red" if failed else "bold"), soft_wrap=True)
    screen.show(done.findings)


def _line(level: int, name: str, check: Check) -> Text:
    style = {"ok": "green", "failed": "red", "not done": "dim"}[check.outcome]
    what = name if check.what == name else f"{name}: {check.what}"
    told = line_of(check.told) if check.outcome != "not done" else f"not checked: {line_of(check.told)}"
    return Text.assemble((f"{_SIGNS[check.outcome]} ", style), (f"{level} {what:<20} ", "dim"), told)
