"""What can be said about a recipe: data only. Renderers live elsewhere, and `errors` collects."""

from __future__ import annotations

from typing import Literal

from recipelang.source.frozen import frozen
from recipelang.source.text import Source, Span

Severity = Literal["error", "warning", "info"]
Applicability = Literal["safe", "unsafe", "display"]

#: More than this many findings in one file help nobody (`safety`).
LIMIT = 50


@frozen
class Label:
    """A place in a source and what to say under it (may be empty)."""

    source: Source
    span: Span
    text: str = ""

    def __post_init__(self) -> None:
        """Of several files, the one that holds the place."""
        object.__setattr__(self, "source", self.source.file(self.span))


@frozen
class Edit:
    """Text to put in place of a span."""

    span: Span
    text: str


@frozen
class Fix:
    """A change that would mend the finding. `safe` fixes keep the meaning meant."""

    title: str
    edits: tuple[Edit, ...]
    applicability: Applicability = "safe"


@frozen
class Diagnostic:
    """One finding: what (`message`), where (`primary`), why (`notes`), what next (`help`).

    `code` is stable (`E051`, `W101`); its first letter gives the severity, unless `level` says it.
    """

    code: str
    message: str
    primary: Label | None = None
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    level: Severity | None = None

    @property
    def severity(self) -> Severity:
        return self.level or {"E": "error", "W": "warning"}.get(self.code[0], "info")  # type: ignore[return-value]
