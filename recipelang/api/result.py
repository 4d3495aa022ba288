"""What a run gives to a program, and how one is told of it while it goes."""

from __future__ import annotations

from rich.console import Console

from recipelang.engine import records
from recipelang.loops.notices import warn
from recipelang.report.progress import Progress
from recipelang.source import Diagnostics


class Result(records.Result):
    """What was measured, and which claims hold. Printed, it reads as the end of `recipelang run` does."""

    @property
    def metrics(self) -> dict[str, float]:
        """By the path that a claim would use: `dev.f1`."""
        return self.measurements.metrics

    def __str__(self) -> str:
        from recipelang.report.cleaned import plain
        from recipelang.report.closing import closing

        return plain(closing(self), 100).strip("\n")

    def __repr__(self) -> str:
        return f"<Result {self.out}: {sum(v.met is True for v in self.verdicts)} of {len(self.verdicts)} claims met>"

    def _repr_html_(self) -> str:
        from recipelang.report.notebook import result

        return result(self)


class Told(Progress):
    """In a program or a notebook: bars where there is something to draw them on, findings as warnings of Python's."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=not (Console().is_terminal or Console().is_jupyter), highlight=False))

    def found(self, findings: Diagnostics) -> None:
        warn(findings.sorted(), stacklevel=3)
