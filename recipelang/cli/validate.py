"""`recipelang validate`: is this a recipe, and does it make sense by itself?"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum

import typer

from recipelang.cli import complete, screen
from recipelang.cli.exit_codes import Exit
from recipelang.cli.read import read_params, read_source
from recipelang.source import Diagnostic, RecipeError, Source, Span
from recipelang.source.diagnostic import LIMIT
from recipelang.source.render import concise
from recipelang.spec.check import Checked, check
from recipelang.spec.claims import check_claims


class Format(StrEnum):
    full = "full"
    concise = "concise"
    json = "json"


def validate(
    files: list[str] = typer.Argument(
        ..., metavar="FILE", help="Recipe files; `-` reads standard input.", autocompletion=complete.recipes
    ),
    param: list[str] = typer.Option(
        [], "-p", "--param", metavar="NAME=VALUE", help="Give a parameter a value.", autocompletion=complete.params
    ),
    format: Format = typer.Option(Format.full, "--format", help="How findings are shown."),
) -> None:
    """Check recipes without a model, data, or network: syntax, names, types, units, requirements.

    A parameter without a value is fine here; `plan` and `run` ask for it.

    Examples:

      recipelang validate squad.recipe

      recipelang validate squad.recipe -p target=97%
    """
    findings: list[Diagnostic] = []
    try:
        given = read_params(param)
    except RecipeError as error:
        _report(error.diagnostics, findings, format)
        files = []
    for name in files:
        try:
            checked = check_all(read_source(name), given)
        except RecipeError as error:
            _report(error.diagnostics, findings, format)
            continue
        _report(checked.diagnostics.sorted(), findings, format)
        if format is Format.full and not checked.diagnostics.errors:
            print(summary(name, checked))
    if format is Format.json:
        print(json.dumps(as_json(findings), indent=2, ensure_ascii=False))
    errors = sum(d.severity == "error" for d in findings)
    if errors:
        if format is Format.full:
            print(f"\n{errors} error{'s' if errors > 1 else ''}", file=sys.stderr)
        raise typer.Exit(Exit.ERRORS)


def _report(found: Sequence[Diagnostic], findings: list[Diagnostic], format: Format) -> None:
    """Show what one file gave, at once; JSON is one document and waits for the end."""
    if format is Format.full:
        if findings and found:
            print(file=sys.stderr)
        screen.show(found)
    elif format is Format.concise and found:
        print(concise(found))
    findings += found


def check_all(source: Source, given: dict, *, complete: bool = False) -> Checked:  # type: ignore[type-arg]
    """`check`, and the names and types of claims."""
    checked = check(source, given, complete=complete)
    if checked.outline is not None:
        check_claims(checked.outline, checked.diagnostics)
    return checked


def summary(name: str, checked: Checked) -> str:
    recipe = checked.recipe
    if recipe is None:
        needs = ", ".join(f"`{m}`" for m in checked.missing)
        return f"{name}: ok, a base: it needs {needs}"
    stages = " -> ".join(s.name for s in recipe.stages)
    return f"{name}: ok ({recipe.name}: {stages}; {len(recipe.claims)} claims)"


def as_json(findings: list[Diagnostic]) -> dict[str, object]:
    """The machine-readable form, versioned; lines and columns count code points from 1.

    The counts are of all findings; at most `LIMIT` are written out.
    """
    errors = sum(d.severity == "error" for d in findings)
    warnings = sum(d.severity == "warning" for d in findings)
    return {
        "format_version": "1.0",
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": warnings,
        "diagnostics": [_diagnostic(d) for d in findings[:LIMIT]],
    }


def _diagnostic(d: Diagnostic) -> dict[str, object]:
    return {
        "code": d.code,
        "severity": d.severity,
        "message": d.message,
        "primary": _place(d.primary.source, d.primary.span, d.primary.text) if d.primary else None,
        "secondary": [_place(s.source, s.span, s.text) for s in d.secondary],
        "notes": list(d.notes),
        "help": list(d.help),
        "fixes": [
            {
                "title": fix.title,
                "applicability": fix.applicability,
                "edits": [
                    {
                        "start_byte": d.primary.source.byte_offset(e.span.start),
                        "end_byte": d.primary.source.byte_offset(e.span.end),
                        "text": e.text,
                    }
                    for e in fix.edits
                ],
            }
            for fix in d.fixes
            if d.primary
        ],
    }


def _place(source: Source, span: Span, label: str) -> dict[str, object]:
    def point(offset: int) -> dict[str, int]:
        line, column = source.position(offset)
        return {"line": line, "column": column, "byte": source.byte_offset(offset)}

    return {"file": source.name, "start": point(span.start), "end": point(span.end), "label": label or None}
