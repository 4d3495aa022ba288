"""Findings as commands that GitHub Actions shows beside the lines of a change: one line each."""

from __future__ import annotations

from collections.abc import Sequence

from recipelang.source.diagnostic import Diagnostic
from recipelang.source.per_file import Report, in_file
from recipelang.source.render import clean

_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


def write(reports: Sequence[Report]) -> str:
    lines = []
    for report in reports:
        lines += [_annotation(d, report) for d in report.shown]
        if report.more:
            lines.append(_command("notice", {"file": report.name}, f"and {report.more} more"))
    return "\n".join(lines)


def _annotation(d: Diagnostic, report: Report) -> str:
    properties = {"file": report.name}
    text = [d.message]
    if d.primary and in_file(d.primary):
        line, column = d.primary.source.position(d.primary.span.start)
        properties = {"file": d.primary.source.name, "line": str(line), "col": str(column)}
    elif d.primary:
        text = [f"{d.primary.source.name}: {d.message}"]
    properties["title"] = f"recipelang {d.code}"
    text += [f"help: {h}" for h in d.help] + [f"note: {n}" for n in d.notes]
    return _command(_LEVELS[d.severity], properties, "\n".join(text))


def _command(level: str, properties: dict[str, str], message: str) -> str:
    """`::level name=value,name=value::message`: line ends are escaped, and in values also what separates them."""
    written = ",".join(f"{name}={_value(value)}" for name, value in properties.items() if value)
    return f"::{level} {written}::{_data(message)}"


def _data(text: str) -> str:
    return clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _value(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
