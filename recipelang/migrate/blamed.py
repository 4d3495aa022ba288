"""What the language refuses of a migrated recipe, said at the place of the old file that it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from recipelang.migrate.amounts import Amounts, literal
from recipelang.migrate.arguments import Unit
from recipelang.migrate.document import Document, Modifier
from recipelang.migrate.nodes import List, Map, Node, Scalar, plain
from recipelang.migrate.planned import place
from recipelang.migrate.write import Writer
from recipelang.source import Diagnostic, Span
from recipelang.source.render import line_of

_PARAM = re.compile(r"\s*(?:param|let) (\w+)\b")
#: a number as this language writes it, with its unit
_NUMBER = re.compile(r"-?\d[\d.]*(?:e-?\d+)?(?:%| epochs?)?", re.ASCII)


def blamed(text: str, writer: Writer, wrong: Sequence[Diagnostic], told: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """`wrong` of the new text, each once and without fixes; modifiers of which something is told already are left out."""
    places = {error.primary.span for error in told if error.primary is not None}
    for finding in wrong:
        if finding.primary is None:
            yield finding
            continue
        line = _line(text, finding.primary.span.start)
        modifiers = _modifiers(text, writer, finding.primary.span.start)
        if any(places & _spans(modifier) for modifier in modifiers):
            continue
        span = _value(writer.document, line, modifiers, finding)
        if span not in places:
            places.add(span)
            notes = (*finding.notes, f"it became `{line_of(line)[:100]}` in the new recipe")
            yield replace(finding, primary=writer.document.label(span), secondary=(), notes=notes, fixes=())


def _modifiers(text: str, writer: Writer, offset: int) -> list[Modifier]:
    """What a place of the new text came from, as narrowly as that is known."""
    part = writer.places.get(place(text, offset))
    every = writer.document.modifiers
    return [m for m in every if part is not None and m.span == part.span] or every


def _spans(modifier: Modifier) -> set[Span]:
    return {modifier.span, *(node.span for entry in modifier.arguments.values() for node in _scalars(entry.value))}


def _value(document: Document, line: str, modifiers: Sequence[Modifier], finding: Diagnostic) -> Span:
    """Where the value stands that is refused, else the modifier."""
    if named := _PARAM.match(line):
        for variable in document.variables.values():
            if Amounts.name(variable.name) == named[1]:
                return variable.node.span
    for number in _NUMBER.findall(finding.message):
        places = {at for modifier in modifiers for at in _written(document, modifier, number)}
        if len(places) == 1:
            return places.pop()
    return modifiers[0].span


def _written(document: Document, modifier: Modifier, number: str) -> Iterator[Span]:
    """Where a modifier holds a number that this language writes so."""
    for key, entry in modifier.arguments.items():
        for node in _scalars(entry.value):
            value = document.traps.number(node)
            if value is not None and literal(Fraction(value), _unit(key)) == number:
                yield node.span


def _unit(key: str) -> Unit:
    if key.endswith(("_epoch", "_epochs", "_frequency")) or key in ("start", "end", "update"):
        return "epochs"
    return "ratio" if key.endswith("sparsity") or key == "hardness" else "number"


def _scalars(node: Node) -> Iterator[Scalar]:
    here = plain(node)
    match here:
        case Scalar():
            yield here
        case List():
            for item in here.items:
                yield from _scalars(item)
        case Map():
            for entry in here.entries:
                yield from _scalars(entry.value)


def _line(text: str, offset: int) -> str:
    return text[text.rfind("\n", 0, offset) + 1 : text.find("\n", offset)].strip()
