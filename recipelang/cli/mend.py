"""Fixes made in a recipe, again and again, until nothing is left to fix."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recipelang.cli import screen
from recipelang.source import Diagnostics, Source
from recipelang.source.diagnostic import Applicability
from recipelang.source.fixes import Chosen, choose, edited
from recipelang.source.render import line_of
from recipelang.source.words import plural
from recipelang.spec.recipe import Checked
from recipelang.syntax import parse

#: what one fix uncovers, another may mend; so often, and no more
ROUNDS = 10


@dataclass
class Mended:
    """The text as it is now, what is said of it, and a line for every fix made."""

    source: Source
    checked: Checked
    made: list[str]


def mend_file(source: Source, check: Callable[[Source], Checked], allowed: Collection[Applicability]) -> Checked:
    """Make the allowed fixes of a file, write it, and say what was done. A recipe of the library stays as it is."""
    if not allowed or source.name.startswith(("lib://", "oci://", "hf://")):
        return check(source)
    mended = mend(source, check, allowed)
    if source.name == "<stdin>":
        sys.stdout.write(mended.source.text)
    elif mended.made:
        from recipelang.storage.writing import rewrite

        rewrite(Path(source.name), mended.source.text)
    for line in mended.made:
        screen.tell(line_of(line), to_errors=True)
    if mended.made:
        screen.tell(f"fixed {plural(len(mended.made), 'finding')} in {source.name}", to_errors=True)
    return mended.checked


def mend(source: Source, check: Callable[[Source], Checked], allowed: Collection[Applicability]) -> Mended:
    """Make the allowed fixes of a text. A fix that makes more of it unreadable is not made."""
    now = Mended(source, check(source), [])
    seen = {source.text}
    for _ in range(ROUNDS):
        chosen = _harmless(now.source, choose(now.checked.diagnostics.sorted(), now.source, allowed))
        text = _with(now.source, chosen)
        if text in seen:  # nothing to do, or two fixes that undo each other
            break
        seen.add(text)
        now.made += [_said(c, now.source) for c in chosen]
        now.source = replace(now.source, text=text)
        now.checked = check(now.source)
    return now


def _harmless(source: Source, chosen: list[Chosen]) -> list[Chosen]:
    """All of them; when together they do harm, those that do none alone; else none."""
    limit = _unreadable(source, source.text)
    if _unreadable(source, _with(source, chosen)) <= limit:
        return chosen
    alone = [c for c in chosen if _unreadable(source, _with(source, [c])) <= limit]
    return alone if _unreadable(source, _with(source, alone)) <= limit else []


def _with(source: Source, chosen: Sequence[Chosen]) -> str:
    return edited(source.text, [edit for c in chosen for edit in c.edits])


def _unreadable(source: Source, text: str) -> int:
    found = Diagnostics()
    parse(replace(source, text=text), found)
    return len(found.errors)


def _said(chosen: Chosen, source: Source) -> str:
    line, column = source.position(source.base + chosen.edits[0].span.start)
    return f"{source.name}:{line}:{column}: {chosen.fix.title} ({chosen.diagnostic.code})"
