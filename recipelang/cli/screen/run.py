"""A run on the screen: its head, findings, bars, and the claims at the end."""

from __future__ import annotations

from pathlib import Path

from recipelang import processes
from recipelang.cli import screen
from recipelang.cli.screen.trust import confirm
from recipelang.engine.records import Result
from recipelang.planning.types import Plan
from recipelang.report.closing import closing
from recipelang.report.plan_screen import short
from recipelang.report.progress import Progress
from recipelang.source import Diagnostics


class Screen(Progress):
    def __init__(self) -> None:
        super().__init__(screen.console())

    def planned(self, plan: Plan) -> None:
        self.console.print(short(plan))

    def from_elsewhere(self, file: str, manifest: str, yes: bool) -> None:
        confirm(file, manifest, yes, processes.world() > 1)

    def locked(self, path: Path) -> None:
        screen.tell(f"  wrote {path}, which pins what this recipe refers to; keep it with the recipe\n")

    def found(self, findings: Diagnostics) -> None:
        screen.show(findings.sorted())

    def ended(self, result: Result) -> None:
        self.stop()
        self.console.print(closing(result))
        screen.show(v.diagnostic for v in result.verdicts if v.diagnostic is not None)
