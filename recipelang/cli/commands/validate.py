"""`recipelang validate`: check recipes for errors, without a model, data or a network."""

from __future__ import annotations

import sys

import typer

from recipelang.api.checked import check, summary, told_of_study
from recipelang.cli import options
from recipelang.cli.exit_codes import Exit
from recipelang.cli.screen.findings import Format, Printer
from recipelang.loading.files import read_source
from recipelang.loading.read import Around, read_around
from recipelang.source import RecipeError, Source
from recipelang.source.diagnostic import Applicability
from recipelang.source.per_file import Report
from recipelang.spec.recipe import Checked


def validate(
    files: options.Files,
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    format: options.Form = Format.full,
    fix: options.Mend = False,
    unsafe_fixes: options.MendBoldly = False,
) -> None:
    """Check recipes without a model, data, or network: syntax, names, types, units, requirements.

    A parameter without a value is allowed here; `plan` and `run` require it.

    `--fix` writes each file completely or not at all. When it reads standard input, the fixed
    text goes to standard output and the findings go to standard error.

    Examples:

      recipelang validate squad.recipe

      recipelang validate squad.recipe -p target=97%

      recipelang validate --fix squad.recipe

      recipelang validate --format sarif squad.recipe
    """
    allowed: set[Applicability] = {"safe", "unsafe"} if unsafe_fixes else {"safe"} if fix else set()
    printer = Printer(format, sys.stderr if allowed and "-" in files else sys.stdout)
    try:
        around = read_around(param, params, overlay)
    except RecipeError as error:
        printer.add(Report("", error.diagnostics))
        files = []
    for name in files:
        report = Report("<stdin>" if name == "-" else name)
        try:
            source = read_source(name)
            if (told := told_of_study(source)) is not None:
                printer.add(Report(report.name, told[0].sorted()), "" if told[0].errors else told[1])
                continue
            checked = _checked(source, around, allowed)
        except RecipeError as error:
            printer.add(Report(report.name, error.diagnostics))
            continue
        sound = not checked.diagnostics.errors
        printer.add(Report(report.name, checked.diagnostics.sorted()), summary(report.name, checked) if sound else "")
    printer.close()
    if printer.errors:
        raise typer.Exit(Exit.ERRORS)


def _checked(source: Source, around: Around, allowed: set[Applicability]) -> Checked:
    if not allowed:
        return check(source, around=around)
    from recipelang.cli.mend import mend_file

    return mend_file(source, lambda text: check(text, around=around), allowed)
