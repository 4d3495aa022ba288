"""Fixes written into a text."""

from __future__ import annotations

from collections.abc import Iterable

from recipelang.source.diagnostic import Diagnostic, Edit
from recipelang.source.text import Source


def applied(source: Source, diagnostics: Iterable[Diagnostic]) -> str:
    """The text with the first safe fix of each finding; of two that meet, the first in the text.

    Only findings in this very file count: a base recipe is not its child's to change.
    """
    chosen: list[Edit] = []
    for diagnostic in diagnostics:
        fix = next((f for f in diagnostic.fixes if f.applicability == "safe"), None)
        if fix is None or diagnostic.primary is None or diagnostic.primary.source.name != source.name:
            continue
        inside = all(source.base <= edit.span.start <= edit.span.end <= source.end for edit in fix.edits)
        if inside and not any(_meet(edit, other) for edit in fix.edits for other in chosen):
            chosen += fix.edits
    text = source.text
    for edit in sorted(chosen, key=lambda e: e.span, reverse=True):
        text = text[: edit.span.start - source.base] + edit.text + text[edit.span.end - source.base :]
    return text


def _meet(a: Edit, b: Edit) -> bool:
    return a.span == b.span or (a.span.start < b.span.end and b.span.start < a.span.end)
