"""Findings for ears: one fact a line, in words, without pictures made of characters."""

from __future__ import annotations

from recipelang.source.diagnostic import Diagnostic, Fix, Label
from recipelang.source.fixes import placed
from recipelang.source.per_file import Report, in_file
from recipelang.source.render import line_of

_LONG = 160
_HOW = {"safe": ", made by `--fix`", "unsafe": ", made by `--unsafe-fixes`", "display": ""}


def write(report: Report) -> str:
    parts = ["\n".join(_facts(d, report)) for d in report.shown]
    if report.more:
        parts.append(f"and {report.more} more")
    return "\n\n".join(parts)


def _facts(d: Diagnostic, report: Report) -> list[str]:
    lines = [f"{d.severity} {d.code}: {line_of(d.message)}"]
    if d.primary:
        lines.append(f"place: {_place(d.primary)}")
        lines += _texts(d.primary)
    for label in d.secondary:
        said = f": {line_of(label.text)}" if label.text else ""
        lines.append(f"see also: {_place(label)}{said}")
    lines += [f"help: {line_of(text)}" for text in d.help]
    lines += [f"fix{_how(d, fix, report)}: {line_of(fix.title)}" for fix in d.fixes]
    lines += [f"note: {line_of(text)}" for text in d.notes]
    return [*lines, f"more: recipelang explain {d.code}"]


def _how(d: Diagnostic, fix: Fix, report: Report) -> str:
    """Who makes a fix: nobody does in another file, or in the value of an option."""
    files = {source.name for source, _ in placed(d, fix)}
    return _HOW[fix.applicability] if files == {report.name} else ""


def _place(label: Label) -> str:
    name = line_of(label.source.name)
    if not in_file(label):
        return name
    line, column = label.source.position(label.span.start)
    return f"{name}, line {line}, column {column}"


def _texts(label: Label) -> list[str]:
    """What stands at the place, what is said of it, and the line around it."""
    piece = label.source.slice(label.span)
    lines = [f"text: {_short(piece)}"] if piece.strip() else []
    lines += [f"which is: {line_of(label.text)}"] if label.text else []
    whole = label.source.line(label.source.position(label.span.start)[0]).strip()
    return lines + ([f"whole line: {_short(whole)}"] if whole and whole != piece else [])


def _short(text: str) -> str:
    text = line_of(text)
    return text if len(text) <= _LONG else text[:_LONG] + "..."
