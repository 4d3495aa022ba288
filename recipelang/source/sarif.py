"""Findings as SARIF 2.1.0, which code scanning services and editors read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from recipelang.source.codes import page
from recipelang.source.diagnostic import Diagnostic, Fix, Label
from recipelang.source.fixes import placed
from recipelang.source.json_form import dumps
from recipelang.source.per_file import Report, in_file
from recipelang.source.text import Source, Span
from recipelang.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

#: surrogates that stand for no byte of a file's name
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def write(reports: Sequence[Report]) -> str:
    return dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(reports)]})


def _run(reports: Sequence[Report]) -> dict[str, Any]:
    codes = list(dict.fromkeys(d.code for r in reports for d in r.shown))
    left_out = [_notice(r) for r in reports if r.more]
    return {
        "tool": {"driver": {"name": "recipelang", "version": __version__, "rules": [_rule(c) for c in codes]}},
        "columnKind": "unicodeCodePoints",
        "artifacts": [{"location": _artifact(name)} for name in dict.fromkeys(r.name for r in reports if r.name)],
        "results": [_result(d, r, codes.index(d.code)) for r in reports for d in r.shown],
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": left_out}],
    }


def _notice(report: Report) -> dict[str, Any]:
    location = {"physicalLocation": {"artifactLocation": _artifact(report.name)}}
    return {"level": "note", "message": _message(f"and {report.more} more"), "locations": [location]}


def _rule(code: str) -> dict[str, Any]:
    """The page of the code. Its braces stay single: it has no placeholders, and holds recipes to be copied."""
    text = page(code) or f"# {code}: {code}"
    title = text.partition("\n")[0].partition(": ")[2]
    level = _LEVELS[Diagnostic(code, "").severity]
    return {
        "id": code,
        "shortDescription": {"text": title},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": level},
    }


def _result(d: Diagnostic, report: Report, rule: int) -> dict[str, Any]:
    fixes = [_fix(d, fix) for fix in d.fixes if fix.applicability != "display"]
    result: dict[str, Any] = {
        "ruleId": d.code,
        "ruleIndex": rule,
        "level": _LEVELS[d.severity],
        "message": _message("\n".join([d.message, *(f"help: {h}" for h in d.help), *(f"note: {n}" for n in d.notes)])),
        "locations": _locations(d.primary, report),
        "relatedLocations": [{"id": i, **_location(label)} for i, label in enumerate(d.secondary, 1)],
        "partialFingerprints": {"codeAndLine/v1": _fingerprint(d)},
        "fixes": [fix for fix in fixes if fix["artifactChanges"]],
    }
    return {name: value for name, value in result.items() if value != []}


def _message(text: str) -> dict[str, str]:
    """Braces would be placeholders, and `[a](b)` a link."""
    if "](" in text:
        text = text.replace("[", "\\[")
    return {"text": text.replace("{", "{{").replace("}", "}}")}


def _locations(primary: Label | None, report: Report) -> list[dict[str, Any]]:
    """A finding without a place in a file is one on the file that was asked for."""
    if primary and in_file(primary):
        return [_location(primary)]
    whole = {"physicalLocation": {"artifactLocation": _artifact(report.name)}} if report.name else {}
    option = _location(primary) if primary else {}
    return [{**option, **whole}] if option or whole else []


def _location(label: Label) -> dict[str, Any]:
    said = {"message": _message(label.text)} if label.text else {}
    if not in_file(label):
        return {"logicalLocations": [{"fullyQualifiedName": label.source.name, "kind": "parameter"}], **said}
    where = {"artifactLocation": _artifact(label.source.name), "region": _region(label.source, label.span)}
    return {"physicalLocation": where, **said}


def _artifact(name: str) -> dict[str, str]:
    """A path as a URI: every byte that has a meaning there, or none in text, is escaped."""
    path = PurePath(_NO_BYTE.sub("\ufffd", name))
    if path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(path.as_posix().encode("utf-8", "surrogateescape"))}


def _region(source: Source, span: Span) -> dict[str, int]:
    line, column = source.position(span.start)
    end_line, end_column = source.position(span.end)
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}


def _fix(d: Diagnostic, fix: Fix) -> dict[str, Any]:
    by_file: dict[str, list[dict[str, Any]]] = {}
    for source, edit in placed(d, fix):
        replacement = {"deletedRegion": _region(source, edit.span), "insertedContent": {"text": edit.text}}
        by_file.setdefault(source.name, []).append(replacement)
    changes = [{"artifactLocation": _artifact(name), "replacements": row} for name, row in by_file.items()]
    applicability = {"applicability": fix.applicability}
    return {"description": _message(fix.title), "artifactChanges": changes, "properties": applicability}


def _fingerprint(d: Diagnostic) -> str:
    """The same while the line says the same: other lines, and spaces in this one, may come and go."""
    line = d.primary.source.line(d.primary.source.position(d.primary.span.start)[0]) if d.primary else d.message
    return f"{d.code}:{hashlib.sha256(' '.join(line.split()).encode('utf-8', 'replace')).hexdigest()[:16]}"
