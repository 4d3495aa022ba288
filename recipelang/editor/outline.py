"""The shape of a recipe: its outline, what folds, and what a growing selection takes in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from recipelang.editor.document import Document
from recipelang.source import Span
from recipelang.source.frozen import frozen
from recipelang.syntax import grammar, tree as t

Sort = Literal["block", "attribute", "param", "let", "claim", "reference"]


@frozen
class Entry:
    """A line of the outline. `name`: the part of the text that is it; `inside`: entries of a block."""

    label: str
    detail: str
    sort: Sort
    whole: Span
    name: Span
    inside: tuple[Entry, ...] = ()


def outline(document: Document) -> list[Entry]:
    """Blocks with their attributes, parameters, lets, references and claims, as they stand in the text."""
    return list(_entries(document, document.statements))


def _entries(document: Document, body: Iterable[t.Statement]) -> Iterator[Entry]:
    for s in body:
        text = " ".join(document.source.slice(s.span).split())
        match s:
            case t.Block():
                yield _block(document, s, "")
            case t.Patch():
                yield _block(document, s.block, "patch ")
            case t.Attribute():
                yield Entry(s.name, _short(document.source.slice(s.value.span)), "attribute", s.span, s.name_span)
            case t.Param():
                yield Entry(s.name, _short(text.partition(":")[2].strip()), "param", s.span, s.name_span)
            case t.Let():
                yield Entry(s.name, _short(document.source.slice(s.value.span)), "let", s.span, s.name_span)
            case t.Claim():
                yield Entry(_short(text), "", "claim", s.span, s.condition.span)
            case t.Extends() | t.Use() | t.Set() | t.Unset():
                yield Entry(_short(text), "", "reference", s.span, s.span)


def _block(document: Document, block: t.Block, before: str) -> Entry:
    inside = tuple(_entries(document, block.body))
    label = before + " ".join((block.kind, *block.labels))
    return Entry(label, "", "block", block.span, block.header, inside)


def _short(text: str, most: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def folds(document: Document) -> list[tuple[int, int, bool]]:
    """Pairs of lines from 0 that fold, first and last; whether it is a run of comments. Brackets, comments, long strings."""
    found: list[tuple[int, int, bool]] = []
    open_at: list[int] = []
    comments: list[int] = []
    line = 0
    for token in grammar.lex(document.text):
        if token.type in ("LBRACE", "LSQB", "LPAR"):
            open_at.append(line)
        elif token.type in ("RBRACE", "RSQB", "RPAR") and open_at:
            found.append((open_at.pop(), line - 1 if token.type == "RBRACE" else line, False))
        elif token.type == "COMMENT" and (not comments or comments[-1] == line - 1):
            comments.append(line)
        elif token.type not in ("WS", "NL") and comments:
            found.append((comments[0], comments[-1], True))
            comments = []
        after = line + token.count("\n")
        if token.type == "MLSTRING":
            found.append((line, after, False))
        line = after
    if comments:
        found.append((comments[0], comments[-1], True))
    return sorted({fold for fold in found if fold[0] < fold[1]})


def around(document: Document, offset: int) -> list[Span]:
    """What a selection at an offset grows to, from the word to the whole text; each span holds the one before."""
    spans = [document.word(offset), Span(0, len(document.text))]
    for s in _every(document.statements):
        spans.append(s.span)
        for expr in _values(s):
            spans += [node.span for node in t.inside(expr)]
    holding = sorted(
        {s for s in spans if s.start <= offset <= s.end and s.start < s.end}, key=lambda s: s.end - s.start
    )
    grown: list[Span] = []
    for span in holding:
        if not grown or (span.start <= grown[-1].start and grown[-1].end <= span.end):
            grown.append(span)
    return grown


def _every(body: Iterable[t.Statement]) -> Iterator[t.Statement]:
    for s in body:
        yield s
        if isinstance(s, t.Block | t.Patch):
            yield from _every(s.body if isinstance(s, t.Block) else s.block.body)


def _values(s: t.Statement) -> Iterator[t.Expr]:
    match s:
        case t.Attribute() | t.Let() | t.Set():
            yield s.value
        case t.Claim():
            yield s.condition
        case t.Param():
            yield from (e for e in (s.type, s.within, s.default) if e is not None)
