"""What a check said of each of its files: what every writer of findings is given."""

from __future__ import annotations

from recipelang.source.diagnostic import LIMIT, Diagnostic, Label, Severity
from recipelang.source.frozen import frozen


@frozen
class Report:
    """One file and its findings; `name` is empty for findings about the command line."""

    name: str
    findings: tuple[Diagnostic, ...] = ()

    @property
    def shown(self) -> tuple[Diagnostic, ...]:
        return self.findings[:LIMIT]

    @property
    def more(self) -> int:
        """How many findings are counted and not shown."""
        return len(self.findings) - len(self.shown)

    def count(self, severity: Severity) -> int:
        return sum(d.severity == severity for d in self.findings)


def in_file(label: Label | None) -> bool:
    """Whether a place is in a file: the value of a `-p` option is not, and has no line to open."""
    return label is not None and not label.source.name.startswith("-p ")
