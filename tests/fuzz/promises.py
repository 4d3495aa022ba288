"""What must hold of every text, whoever wrote it."""

from __future__ import annotations

from recipelang.cli.validate import as_json, check_all
from recipelang.source import Diagnostic, Fix, Source
from recipelang.source.codes import codes
from recipelang.source.diagnostic import LIMIT
from recipelang.source.render import concise, render
from recipelang.syntax.fmt import format
from tests.reading import parsed

CODES = frozenset(codes())


def keep(text: str) -> list[Diagnostic]:
    """No crash, no character lost, every place inside the text, few findings shown, fixes that mend.

    Gives the findings. Whatever does not hold raises.
    """
    result, syntax = parsed(text)
    if result.tokens is not None:
        assert "".join(result.tokens.all) == text
    found = list(check_all(Source("a.recipe", text), {}).diagnostics.sorted())
    assert {d.code for d in found} <= CODES
    for d in found:
        _places_inside(d, len(text))
    _shown(found)
    # what stands on a line with a wrong character is judged once the character is gone, and may be worse
    safe = [(d.code, fix) for d in found for fix in d.fixes if fix.applicability == "safe"]
    for code, fix in safe[:LIMIT]:
        mended = applied(text, fix)
        assert mended != text, fix
        assert code in ("E002", "E003") or len(parsed(mended)[1]) <= len(syntax), f"it reads worse: {fix}"
    tidy = format(text)  # raises when it would change the meaning
    assert format(tidy) == tidy
    return found


def applied(text: str, fix: Fix) -> str:
    for edit in sorted(fix.edits, key=lambda e: e.span, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def _places_inside(d: Diagnostic, end: int) -> None:
    spans = [label.span for label in (d.primary, *d.secondary) if label]
    spans += [edit.span for fix in d.fixes for edit in fix.edits]
    assert all(0 <= s.start <= s.end <= end for s in spans), d.message


def _shown(found: list[Diagnostic]) -> None:
    assert len(concise(found).splitlines()) <= LIMIT + 1
    assert render(found).count("more in `recipelang explain") <= LIMIT
    shown = as_json(found)["diagnostics"]
    assert isinstance(shown, list)
    assert len(shown) <= LIMIT
