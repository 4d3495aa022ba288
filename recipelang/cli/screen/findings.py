"""`--format`: findings as a person or a program wants them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TextIO

from recipelang.cli import screen
from recipelang.source.per_file import Report
from recipelang.source.render import concise, line_of
from recipelang.source.words import plural


class Format(StrEnum):
    full = "full"
    concise = "concise"
    narrated = "narrated"
    json = "json"
    sarif = "sarif"
    github = "github"
    junit = "junit"


class Printer:
    """What people read is printed file by file, what programs read as one document at the end.

    Results go to `out`; findings in full go to standard error, beside them.
    """

    def __init__(self, format: Format, out: TextIO) -> None:
        self.format, self.out = format, out
        self.reports: list[Report] = []

    @property
    def errors(self) -> int:
        return sum(r.count("error") for r in self.reports)

    def add(self, report: Report, summary: str = "") -> None:
        """`summary` says in a line what a sound file holds."""
        before = any(r.findings for r in self.reports)
        self.reports.append(report)
        match self.format:
            case Format.full:
                if before and report.findings:
                    print(file=sys.stderr)
                screen.show(report.findings)
            case Format.concise if report.findings:
                print(concise(report.findings), file=self.out)
            case Format.narrated:
                from recipelang.source import narrated

                if report.findings:
                    print(narrated.write(report), end="\n\n", file=self.out)
        if summary and self.format in (Format.full, Format.narrated):
            print(line_of(summary), file=self.out)

    def close(self) -> None:
        errors = self.errors
        counted = plural(errors, "error")
        if write := _writer(self.format):
            text = write(self.reports)
            print(text, end="\n" if text else "", file=self.out)
        elif self.format is Format.full and errors:
            print(f"\n{counted}", file=sys.stderr)
        elif self.format is Format.narrated and errors:
            print(counted, file=self.out)


def _writer(format: Format) -> Callable[[Sequence[Report]], str] | None:
    """Who writes a document; loaded when one is asked for, since every command starts with this file."""
    match format:
        case Format.json:
            from recipelang.source.json_form import write
        case Format.sarif:
            from recipelang.source.sarif import write
        case Format.github:
            from recipelang.source.github import write
        case Format.junit:
            from recipelang.source.junit import write
        case _:
            return None
    return write
