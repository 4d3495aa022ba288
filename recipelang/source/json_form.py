"""Findings as JSON, versioned; `findings.schema.json` is its JSON Schema.

Lines and columns count code points from 1, bytes those of the file in UTF-8 from 0; `end` is just after the last one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipelang.source.diagnostic import Diagnostic, Fix, Label
from recipelang.source.fixes import placed
from recipelang.source.per_file import Report

#: the first number changes when something is taken away or means something else, the second when something is added
VERSION = "1.0"

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def write(reports: Sequence[Report]) -> str:
    return dumps(form(reports))


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `write` gives."""
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("findings.schema.json").read_text("utf-8"))
    return loaded


def form(reports: Sequence[Report]) -> dict[str, Any]:
    """The counts are of all findings; of each file at most `LIMIT` are written out."""
    errors = sum(r.count("error") for r in reports)
    return {
        "format_version": VERSION,
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": sum(r.count("warning") for r in reports),
        "files": [
            {"file": r.name, "error_count": r.count("error"), "warning_count": r.count("warning")}
            for r in reports
            if r.name
        ],
        "diagnostics": [_diagnostic(d, r) for r in reports for d in r.shown],
    }


def dumps(value: object) -> str:
    """JSON in ASCII, whatever the stream's encoding; half a surrogate pair, which is no text, becomes U+FFFD."""
    text = _LONE_SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False))
    return json.dumps(json.loads(text), indent=2)


def _diagnostic(d: Diagnostic, report: Report) -> dict[str, Any]:
    fixes = [_fix(d, fix) for fix in d.fixes]
    return {
        "code": d.code,
        "severity": d.severity,
        "message": d.message,
        "file": report.name or None,
        "primary": _place(d.primary) if d.primary else None,
        "secondary": [_place(s) for s in d.secondary],
        "notes": list(d.notes),
        "help": list(d.help),
        "fixes": [fix for fix in fixes if fix["edits"]],
        "explain": f"recipelang explain {d.code}",
    }


def _fix(d: Diagnostic, fix: Fix) -> dict[str, Any]:
    edits = [
        {
            "file": source.name,
            "start_byte": source.byte_offset(edit.span.start),
            "end_byte": source.byte_offset(edit.span.end),
            "text": edit.text,
        }
        for source, edit in placed(d, fix)
    ]
    return {"title": fix.title, "applicability": fix.applicability, "edits": edits}


def _place(label: Label) -> dict[str, Any]:
    def point(offset: int) -> dict[str, int]:
        line, column = label.source.position(offset)
        return {"line": line, "column": column, "byte": label.source.byte_offset(offset)}

    start, end = point(label.span.start), point(label.span.end)
    return {"file": label.source.name, "start": start, "end": end, "label": label.text or None}
