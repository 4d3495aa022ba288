"""`recipelang lint`: choices that are valid, and known to cost accuracy or trust."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recipelang.api.checked import told_of_study
from recipelang.cli import complete, options
from recipelang.cli.exit_codes import Exit
from recipelang.cli.mend import mend_file
from recipelang.cli.screen.findings import Format, Printer
from recipelang.loading.files import read_source
from recipelang.loading.locking import beside
from recipelang.loading.read import Around, check_all, read_around
from recipelang.loading.trust import only_what_the_user_names
from recipelang.source import Diagnostic, RecipeError, Source
from recipelang.source.diagnostic import Applicability
from recipelang.source.per_file import Report
from recipelang.source.words import plural
from recipelang.spec.recipe import Checked

if TYPE_CHECKING:
    from recipelang.lint import Level
    from recipelang.planning.types import Plan


@dataclass(frozen=True)
class Settings:
    """What the options say, for every file the same."""

    around: Around
    levels: Mapping[str, Level]


def lint(
    files: options.Files,
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    format: options.Form = Format.full,
    fix: options.Mend = False,
    unsafe_fixes: options.MendBoldly = False,
    deny: list[str] = typer.Option(
        [], "--deny", metavar="RULE", help="Report findings of this rule as errors.", autocompletion=complete.rules
    ),
    warn: list[str] = typer.Option(
        [], "--warn", metavar="RULE", help="Report findings of this rule as warnings.", autocompletion=complete.rules
    ),
    allow: list[str] = typer.Option(
        [], "--allow", metavar="RULE", help="Switch this rule off.", autocompletion=complete.rules
    ),
) -> None:
    """Advise on recipes: find choices that are valid but known to cost accuracy or trust.

    The findings of `validate` are shown too. Nothing is downloaded: rules that need the
    model and the data run only if both are on this machine, and finding L000 lists the
    rules that did not run. `recipelang explain no-never` describes a rule by name or code.

    Levels are deny (an error, exit code 1), warn, info and allow. Set them in the nearest
    `recipelang.toml` above the recipe, or with the options below:

      [lint]

      no-distillation = "deny"

    A comment on the line above allows one finding, with the reason:

      # recipe: allow(L020) distillation is the ablation

    Examples:

      recipelang lint squad.recipe

      recipelang lint --deny L003 --fix squad.recipe
    """
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"  # read when their libraries load
    allowed: set[Applicability] = {"safe", "unsafe"} if unsafe_fixes else {"safe"} if fix else set()
    printer = Printer(format, sys.stderr if allowed and "-" in files else sys.stdout)
    try:
        chosen = _chosen(deny, warn, allow)
        settings = Settings(read_around(param, params, overlay), chosen)
    except RecipeError as error:
        printer.add(Report("", error.diagnostics))
        files = []
    for name in files:
        shown = "<stdin>" if name == "-" else name
        try:
            source = read_source(name)
            if (told := told_of_study(source)) is not None:  # the recipe that it varies is linted by itself
                printer.add(Report(shown, told[0].sorted()), f"{shown}: a study, {_summary(told[0].sorted())}")
                continue
            found = mend_file(source, lambda text: _judged(text, settings), allowed).diagnostics.sorted()
        except RecipeError as error:
            printer.add(Report(shown, error.diagnostics))
            continue
        printer.add(Report(shown, found), f"{shown}: {_summary(found)}")
    printer.close()
    if printer.errors:
        raise typer.Exit(Exit.ERRORS)


def _chosen(deny: list[str], warn: list[str], allow: list[str]) -> dict[str, Level]:
    from recipelang.lint import choose

    return choose({"deny": deny, "warn": warn, "allow": allow})


def _judged(source: Source, settings: Settings) -> Checked:
    """What `validate` finds, and unless that is an error, what the rules find."""
    around = settings.around
    checked = check_all(source, around.given, overlays=around.overlays)
    if checked.diagnostics.errors:
        return checked
    from recipelang.lint import judge, levels_for

    folder = beside("-" if source.name == "<stdin>" else source.name)
    levels = levels_for(folder, settings.levels)
    plan, absent = _plan(checked, around, folder)
    as_written = not around.given and not around.overlays
    checked.diagnostics.extend(judge(checked, plan, levels, absent, as_written=as_written))
    return checked


def _plan(checked: Checked, around: Around, folder: Path) -> tuple[Plan | None, Diagnostic | None]:
    """The plan, or what keeps it from being made here: also that a recipe from elsewhere names paths of this machine."""
    from recipelang.lint import read_plan

    if checked.recipe is None:
        return None, None
    try:
        only_what_the_user_names(checked, around)
    except RecipeError as error:
        return None, error.diagnostics[0]
    return read_plan(checked.recipe, folder, checked.diagnostics)


def _summary(found: Sequence[Diagnostic]) -> str:
    """`2 errors, 1 warning`, or `no findings`."""
    counts = Counter(d.severity for d in found)
    words = {"error": "error", "warning": "warning", "info": "remark"}
    shown = [plural(n, word) for level, word in words.items() if (n := counts[level])]  # type: ignore[index]
    return ", ".join(shown) or "no findings"
