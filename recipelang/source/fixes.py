"""Fixes made: which of them go together, and the text with their edits.

Pure functions on texts; what may be written where is decided by those who call.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import pairwise

from recipelang.source.diagnostic import Applicability, Diagnostic, Edit, Fix
from recipelang.source.frozen import frozen
from recipelang.source.per_file import in_file
from recipelang.source.text import Source


@frozen
class Chosen:
    """A fix to be made; its edits count from the start of the text."""

    diagnostic: Diagnostic
    fix: Fix
    edits: tuple[Edit, ...]


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with every edit made, whatever their order; spans count in the text as it was.

    New lines end as those of the text do.

    >>> edited("a = 1", [Edit(Span(4, 5), "2"), Edit(Span(0, 1), "b")])
    'b = 2'

    Raises:
        ValueError: two edits overlap, so that their order would matter.
    """
    end = "\r\n" if 2 * text.count("\r\n") > text.count("\n") else "\n"
    row = sorted(edits, key=lambda e: e.span)
    pieces, at = [], 0
    for i, edit in enumerate(row):
        if i and overlap(row[i - 1], edit):
            raise ValueError(f"edits overlap at {edit.span.start}")
        pieces += [text[at : edit.span.start], edit.text.replace("\r\n", "\n").replace("\n", end)]
        at = edit.span.end
    return "".join([*pieces, text[at:]])


def overlap(a: Edit, b: Edit) -> bool:
    """Whether the order of two edits would matter: an insertion also touches what begins or ends at its place."""
    if a.span.start == a.span.end or b.span.start == b.span.end:
        return a.span.start <= b.span.end and b.span.start <= a.span.end
    return a.span.start < b.span.end and b.span.start < a.span.end


def choose(findings: Iterable[Diagnostic], source: Source, allowed: Container[Applicability]) -> list[Chosen]:
    """The fixes of this text that can be made together: of those that overlap, the first. One fix a finding.

    None on a line that defines something a second time: which of the two is meant, only the writer knows.
    """
    chosen: list[Chosen] = []
    taken: list[Edit] = []
    findings = list(findings)
    doubled = {_line(source, source.own(d.primary.span).start) for d in findings if d.primary and d.code == "E012"}
    for d in findings:
        fix = next((f for f in d.fixes if f.applicability in allowed), None)
        places = placed(d, fix) if fix else []
        if fix is None or not places or any((at.name, at.text) != (source.name, source.text) for at, _ in places):
            continue
        edits = tuple(Edit(at.own(e.span), e.text) for at, e in places)
        if d.code != "E012" and any(_line(source, e.span.start) in doubled for e in edits):
            continue
        if not _clash([*taken, *edits]):
            taken += edits
            chosen.append(Chosen(d, fix, edits))
    return chosen


def placed(d: Diagnostic, fix: Fix) -> list[tuple[Source, Edit]]:
    """Each edit with the file that it changes; none at all when one is in no file that the finding names.

    A finding in the value of an option is mended there, if at all: its spans would mean other places in a file.
    """
    if not in_file(d.primary):
        return []
    sources = [label.source for label in (d.primary, *d.secondary) if label is not None and in_file(label)]
    found = []
    for edit in fix.edits:
        source = next((s for s in sources if s.base <= edit.span.start and edit.span.end <= s.end), None)
        if source is None:
            return []
        found.append((source, edit))
    return found


def _line(source: Source, offset: int) -> int:
    return source.text.count("\n", 0, max(offset, 0))


def _clash(edits: list[Edit]) -> bool:
    row = sorted(edits, key=lambda e: e.span)
    return any(overlap(a, b) for a, b in pairwise(row))
