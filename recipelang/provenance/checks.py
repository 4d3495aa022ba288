"""What a verification finds: checks by level, claims with who measured them, and what nobody looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from recipelang.provenance.statement import Statement
from recipelang.source import Diagnostic, RecipeError, fail
from recipelang.source.render import line_of
from recipelang.storage.reading import Unreadable

Outcome = Literal["ok", "failed", "not done"]
Source = Literal["claimed", "measured by the run", "re-measured here", "recorded, not repeated"]


@dataclass(frozen=True)
class Check:
    level: int
    what: str
    outcome: Outcome
    told: str
    findings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class ClaimTold:
    """A claim, what it came to, and who says so."""

    text: str
    expected: str
    measured: str
    met: bool | None
    by: Source


@dataclass
class Verified:
    checks: list[Check] = field(default_factory=list)
    claims: list[ClaimTold] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)  # for the last line, beside the checks that were not done
    statement: Statement | None = None

    @property
    def ok(self) -> bool:
        return all(c.outcome != "failed" for c in self.checks)

    @property
    def rehearsed(self) -> bool:
        return self.statement is not None and self.statement.predicate.get("rehearsal") is not None

    @property
    def open(self) -> list[str]:
        """What was not checked, each in a few words."""
        return [*dict.fromkeys((*(c.what for c in self.checks if c.outcome == "not done"), *self.unchecked))]

    @property
    def findings(self) -> list[Diagnostic]:
        """Each once: a link can be in the way of several checks."""
        return list(dict.fromkeys(d for c in self.checks for d in c.findings))

    def run(self, level: int, what: str, check: Callable[[], str]) -> bool:
        """One check: what it says when all is well, its findings otherwise."""
        try:
            self.checks.append(Check(level, what, "ok", check()))
            return True
        except RecipeError as error:
            found = tuple(error.diagnostics)
        except Unreadable as error:
            found = tuple(error.coded("E137", name=line_of(error.path.name)).diagnostics)
        except OSError as error:  # closed to us, or gone in between
            message = f"`{line_of(Path(str(error.filename)).name)}` cannot be read"
            found = tuple(fail("E137", message, notes=[str(error.strerror or error).lower()]).diagnostics)
        self.checks.append(Check(level, what, "failed", found[0].message, found))
        return False

    def not_done(self, level: int, what: str, why: str) -> None:
        self.checks.append(Check(level, what, "not done", why))
