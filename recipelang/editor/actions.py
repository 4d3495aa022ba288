"""What can be done about a finding: its fixes as edits of open files, and a comment that allows advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recipelang.editor.document import Document
from recipelang.editor.findings import Found
from recipelang.source import Span
from recipelang.source.fixes import choose, placed
from recipelang.source.frozen import frozen


@frozen
class Action:
    """A change. `edits`: path -> places in that file with their new text. `sure`: it keeps what was meant."""

    title: str
    edits: dict[str, list[tuple[Span, str]]]
    sure: bool
    found: Found


def actions(document: Document, found: Sequence[Found], within: Span) -> list[Action]:
    """Of every finding that touches a span: its fixes, the sure ones first."""
    touched = [f for f in found if f.span.start <= within.end and within.start <= f.span.end]
    offers = [action for f in touched for action in (*_fixes(f), *_allowed(document, f))]
    return sorted(offers, key=lambda action: not action.sure)


def _fixes(found: Found) -> Iterator[Action]:
    for fix in found.diagnostic.fixes:
        edits: dict[str, list[tuple[Span, str]]] = {}
        for source, edit in placed(found.diagnostic, fix):
            edits.setdefault(source.name, []).append((source.own(edit.span), edit.text))
        if edits and fix.applicability != "display":
            yield Action(fix.title, edits, fix.applicability == "safe", found)


def _allowed(document: Document, found: Found) -> Iterator[Action]:
    """A rule of advice can be allowed where it is found; the reason is the writer's to give."""
    code = found.diagnostic.code
    if code[0] != "L" or found.elsewhere or code == "L000":
        return
    start = document.text.rfind("\n", 0, found.span.start) + 1
    line = document.text[start : found.span.start]
    indent = line[: len(line) - len(line.lstrip())]
    comment = f"{indent}# recipe: allow({code}) REASON\n"
    yield Action(
        f"allow {code} here, with a reason", {document.source.name: [(Span(start, start), comment)]}, False, found
    )


def all_sure(document: Document, found: Sequence[Found]) -> dict[str, list[tuple[Span, str]]]:
    """Every safe fix of this text that can be made together with the others, as `validate --fix` makes them."""
    chosen = choose((f.diagnostic for f in found if not f.elsewhere), document.source, {"safe"})
    edits = [(edit.span, edit.text) for one in chosen for edit in one.edits]
    return {document.source.name: edits} if edits else {}
