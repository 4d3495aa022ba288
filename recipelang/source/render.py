"""Findings as a person reads them: the place, the line, a caret, what to do next.

Plain text with optional ANSI colour; the standard library only, so that an
error on the way out of anything can still be shown.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from recipelang.source.diagnostic import LIMIT, Diagnostic, Fix, Label
from recipelang.source.text import Source

_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "info": "\x1b[1;36m"}
_BLUE, _GREEN, _RED, _BOLD, _RESET = "\x1b[1;34m", "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[0m"
_TAB = 4
#: control and format characters, halves of surrogate pairs, line and paragraph separators
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
#: a longer line is cut to what is near the place; `_BEFORE` characters in front of it are kept
_LONG, _BEFORE = 160, 60


def render(diagnostics: Iterable[Diagnostic], *, colour: bool = False) -> str:
    """All findings, at most `LIMIT` of them, separated by empty lines."""
    every = list(diagnostics)
    shown = [_one(d, colour) for d in every[:LIMIT]]
    if len(every) > LIMIT:
        shown.append(f"and {len(every) - LIMIT} more")
    return "\n\n".join(shown)


def concise(diagnostics: Iterable[Diagnostic]) -> str:
    """One line a finding, at most `LIMIT`: `file:line:column: error[E051]: message`."""
    every = list(diagnostics)
    lines = []
    for d in every[:LIMIT]:
        where = ""
        if d.primary:
            where = f"{_place(d.primary)}: "
        lines.append(f"{where}{d.severity}[{d.code}]: {line_of(d.message)}")
    if len(every) > LIMIT:
        lines.append(f"and {len(every) - LIMIT} more")
    return "\n".join(lines)


def clean(text: str) -> str:
    """Control and bidirectional characters made visible: a name cannot rewrite the screen."""
    return "".join(f"\\u{{{ord(c):x}}}" if unicodedata.category(c) in _HIDDEN and c not in "\n\t" else c for c in text)


def line_of(text: str) -> str:
    """The same on one line: what is quoted from elsewhere may hold line ends."""
    return clean(text).replace("\n", "\\n").replace("\t", "\\t")


def _one(d: Diagnostic, colour: bool) -> str:
    paint = _painter(colour)
    lines = [paint(_COLOURS[d.severity], f"{d.severity}[{d.code}]") + paint(_BOLD, f": {line_of(d.message)}")]
    labels = [label for label in (d.primary, *d.secondary) if label is not None]
    margin = max((len(str(label.source.position(label.span.start)[0])) for label in labels), default=1)
    for source in dict.fromkeys(label.source for label in labels):
        lines += _snippet(source, d, [label for label in labels if label.source is source], margin, paint)
    bar = " " * margin + " " + paint(_BLUE, "=")
    lines += [f"{bar} {paint(_BOLD, 'help')}: {line_of(text)}" for text in d.help]
    for fix in d.fixes[:1]:
        lines += _fix(d, fix, margin, paint)
    lines += [f"{bar} {paint(_BOLD, 'note')}: {line_of(text)}" for text in d.notes]
    lines.append(f"{bar} {paint(_BOLD, 'note')}: more in `recipelang explain {d.code}`")
    return "\n".join(lines)


def _snippet(source: Source, d: Diagnostic, labels: list[Label], margin: int, paint) -> list[str]:  # type: ignore[no-untyped-def]
    head = d.primary if d.primary in labels else labels[0]
    arrow = "-->" if head is d.primary else ":::"
    bar = " " * margin + " " + paint(_BLUE, "|")
    lines = [" " * margin + paint(_BLUE, arrow) + f" {_place(head)}", bar]
    by_line: dict[int, list[Label]] = {}
    for label in labels:
        by_line.setdefault(source.position(label.span.start)[0], []).append(label)
    last = None
    for number in sorted(by_line):
        if last is not None and number > last + 1:
            lines.append(paint(_BLUE, "..."))
        shown, _ = _window(source, number, by_line[number])
        lines.append(paint(_BLUE, f"{number:>{margin}} |") + f" {_expand(shown)}".rstrip())
        lines += [f"{bar} {text}" for text in _underline(source, number, by_line[number], d, paint)]
        last = number
    return lines


def _place(label: Label) -> str:
    """`file:line:column`; an option of the command line is named alone."""
    name = line_of(label.source.name)
    if name.startswith("-p "):
        return name
    line, column = label.source.position(label.span.start)
    return f"{name}:{line}:{column}"


def _underline(source: Source, number: int, labels: list[Label], d: Diagnostic, paint) -> list[str]:  # type: ignore[no-untyped-def]
    """One row of carets, the rightmost label beside it, the others hung below, right to left."""
    text, cut = _window(source, number, labels)
    marks: list[tuple[int, int, Label]] = []
    for label in labels:
        first = min(source.position(label.span.start)[1] - 1 - cut, len(text))
        until = min(first + max(1, label.span.end - label.span.start), max(len(text), first + 1))
        start = _width(_expand(text[:first]))
        marks.append((start, max(1, _width(_expand(text[:until])) - start), label))
    marks.sort(key=lambda m: m[0])
    row: list[str] = []
    for start, width, label in marks:
        row += [" "] * (start - len(row))
        row[start : start + width] = ["^" if label is d.primary else "-"] * width
    colour = _COLOURS[d.severity]
    said = [m for m in marks if m[2].text]
    line = "".join(row)
    rows: list[str] = []
    if said and said[-1][0] + said[-1][1] == len(row):
        tail = said.pop()
        line += f" {line_of(tail[2].text)}"
    rows.append(paint(colour, line))
    while said:
        start, _, label = said.pop()
        pipes = {s for s, _, _ in said}
        rows.append(paint(_BLUE, "".join("|" if i in pipes else " " for i in range(start)) + line_of(label.text)))
    return rows


def _window(source: Source, number: int, labels: list[Label]) -> tuple[str, int]:
    """A line, or of a long one what is near its first label; and how far columns move to the left."""
    text = source.line(number)
    if len(text) <= _LONG:
        return text, 0
    low = max(0, min(source.position(label.span.start)[1] - 1 for label in labels) - _BEFORE)
    high = low + _LONG
    front, back = "..." if low else "", "..." if high < len(text) else ""
    return front + text[low:high] + back, low - len(front)


def _fix(d: Diagnostic, fix: Fix, margin: int, paint) -> list[str]:  # type: ignore[no-untyped-def]
    """The line before and after, where a fix changes one line only."""
    if d.primary is None or len(fix.edits) != 1:
        return []
    source, edit = d.primary.source, fix.edits[0]
    if "\n" in edit.text or "\n" in source.slice(edit.span):
        return []
    number, column = source.position(edit.span.start)
    old, cut = _window(source, number, [Label(source, edit.span)])
    first = column - 1 - cut
    new = old[:first] + edit.text + old[first + edit.span.end - edit.span.start :]
    prefix = f"{number:>{margin}}"
    return [
        " " * margin + " " + paint(_BLUE, "|"),
        paint(_RED, f"{prefix} - {_expand(old)}"),
        paint(_GREEN, f"{prefix} + {_expand(new)}"),
    ]


def _painter(colour: bool):  # type: ignore[no-untyped-def]
    return (lambda code, text: f"{code}{text}{_RESET}") if colour else (lambda code, text: text)


def _expand(text: str) -> str:
    return clean(text.replace("\t", " " * _TAB))


def _width(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
