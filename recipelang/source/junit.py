"""Findings as JUnit XML, which most servers of continuous integration show: one test case a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as xml

from recipelang.source.per_file import Report
from recipelang.source.render import clean, line_of, render

_SUITE = "recipelang validate"
#: what XML 1.0 allows no document to hold, not even escaped
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(reports: Sequence[Report]) -> str:
    """The document, in ASCII: a character outside of it is written as its number."""
    failed = sum(r.count("error") > 0 for r in reports)
    counts = {"name": _SUITE, "tests": str(len(reports)), "failures": str(failed), "errors": "0"}
    root = xml.Element("testsuites", counts)
    suite = xml.SubElement(root, "testsuite", {**counts, "skipped": "0"})
    for report in reports:
        _case(suite, report)
    xml.indent(root)
    return xml.tostring(root, encoding="us-ascii", xml_declaration=True).decode("ascii")


def _case(suite: xml.Element, report: Report) -> None:
    """Errors fail the case; what is no error is told as the case's output."""
    name = _legal(line_of(report.name or "the command line"))
    case = xml.SubElement(suite, "testcase", {"classname": _SUITE, "name": name})
    if report.name:
        case.set("file", name)
    first = next((d for d in report.findings if d.severity == "error"), None)
    if first:
        errors = report.count("error")
        more = f" (and {errors - 1} more)" if errors > 1 else ""
        message = _legal(line_of(first.message)) + more
        said = xml.SubElement(case, "failure", {"type": first.code, "message": message})
    elif report.findings:
        said = xml.SubElement(case, "system-out")
    else:
        return
    said.text = _legal(render(report.findings))


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", clean(text))
