"""What must hold of every text, whoever wrote it."""

from __future__ import annotations

from recipelang.cli.mend import mend
from recipelang.loading.read import check_all
from recipelang.source import Diagnostic, Source, github, json_form, junit, narrated, sarif
from recipelang.source.codes import codes
from recipelang.source.diagnostic import LIMIT
from recipelang.source.fixes import edited
from recipelang.source.per_file import Report
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
    _fixes_mend(text, found, len(syntax))
    tidy = format(text)  # raises when it would change the meaning
    assert format(tidy) == tidy
    return found


def _places_inside(d: Diagnostic, end: int) -> None:
    spans = [label.span for label in (d.primary, *d.secondary) if label]
    spans += [edit.span for fix in d.fixes for edit in fix.edits]
    assert all(0 <= s.start <= s.end <= end for s in spans), d.message


def _shown(found: list[Diagnostic]) -> None:
    """By every writer, and at most `LIMIT` of them."""
    report = Report("a.recipe", tuple(found))
    assert len(concise(found).splitlines()) <= LIMIT + 1
    assert render(found).count("more in `recipelang explain") <= LIMIT
    assert len(json_form.form([report])["diagnostics"]) <= LIMIT
    for writer in (json_form, sarif, junit, github):
        assert writer.write([report]) or not found
    assert narrated.write(report) or not found


def _fixes_mend(text: str, found: list[Diagnostic], syntax: int) -> None:
    """Each safe fix changes the text; where no wrong character hides what else is wrong, it reads no worse."""
    safe = [(d.code, fix) for d in found for fix in d.fixes if fix.applicability == "safe"]
    for code, fix in safe[:LIMIT]:
        mended = edited(text, fix.edits)
        assert mended != text, fix
        assert code in ("E002", "E003") or len(parsed(mended)[1]) <= syntax, f"it reads worse: {fix}"
    if safe and len(text) < 3_000:
        result = mend(Source("a.recipe", text), lambda source: check_all(source, {}), {"safe"})
        assert result.made == [] or result.source.text != text
