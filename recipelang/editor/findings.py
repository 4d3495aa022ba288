"""What is wrong with a recipe while it is written: what `validate` and `lint` say, at the same places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from recipelang.api.checked import told_of_study
from recipelang.editor.document import Document
from recipelang.lint import judge, levels_for
from recipelang.source import Diagnostic, RecipeError, Span
from recipelang.source.frozen import frozen
from recipelang.source.per_file import in_file
from recipelang.syntax import tree as t

#: documents whose findings are kept: they are asked for again at every place of the cursor
_REMEMBERED = 16


@frozen
class Found:
    """A finding and its place in this text. `elsewhere`: it was made in a recipe that this one builds on."""

    diagnostic: Diagnostic
    span: Span
    elsewhere: bool = False


@lru_cache(maxsize=_REMEMBERED)
def findings(document: Document) -> tuple[Found, ...]:
    """In the order of the text. Advice that needs the model or the data is left to `lint`, which may read them."""
    try:
        if (study := told_of_study(document.source)) is not None:
            return _placed(document, study[0].sorted())
        checked = document.checked
        found: Sequence[Diagnostic] = checked.diagnostics.sorted()
        if not checked.diagnostics.errors:
            advice = judge(checked, None, levels_for(document.folder, {}), None)
            found = sorted([*found, *(d for d in advice if d.code != "L000")], key=_start)
    except RecipeError as error:  # a base that cannot be read, a broken `recipelang.toml`
        found = error.diagnostics
    return _placed(document, found)


def _start(d: Diagnostic) -> int:
    return d.primary.span.start if d.primary else 0


def _placed(document: Document, found: Iterable[Diagnostic]) -> tuple[Found, ...]:
    return tuple(_place(document, d) for d in found)


def _place(document: Document, d: Diagnostic) -> Found:
    if d.primary is None or not in_file(d.primary):
        return Found(d, _header(document))
    source = d.primary.source
    if source.name != document.source.name or source.text != document.text:
        return Found(d, _builds_on(document), elsewhere=True)
    return Found(d, source.own(d.primary.span))


def _header(document: Document) -> Span:
    """The first line, where nothing better is known."""
    return Span(0, len(document.text.partition("\n")[0]))


def _builds_on(document: Document) -> Span:
    """The line by which another file came in."""
    for statement in document.statements:
        if isinstance(statement, t.Extends | t.Use):
            return statement.span
    return _header(document)
