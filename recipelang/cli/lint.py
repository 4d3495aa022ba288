"""`recipelang lint`: what is allowed, and still unwise."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recipelang.cli import complete, options
from recipelang.cli.exit_codes import Exit
from recipelang.cli.files import read_source
from recipelang.cli.plan import beside
from recipelang.cli.read import Around, check_all, read_around
from recipelang.cli.validate import Format, as_json, report
from recipelang.source import Diagnostic, RecipeError, Source
from recipelang.source.fixes import applied

if TYPE_CHECKING:
    from recipelang.lint import Level


#: a mended error lets the rules speak, and they may have fixes as well
ROUNDS = 3


@dataclass(frozen=True)
class Settings:
    """What the options say, for every file the same."""

    around: Around
    levels: Mapping[str, Level]


def lint(
    files: list[str] = typer.Argument(
        ..., metavar="FILE", help="Recipe files; `-` reads standard input.", autocompletion=complete.recipes
    ),
    param: options.Param = [],  # noqa: B006 (typer copies it)
    params: options.Params = [],  # noqa: B006
    overlay: options.Overlay = [],  # noqa: B006
    format: Format = typer.Option(Format.full, "--format", help="How findings are shown."),
    fix: bool = typer.Option(False, "--fix", help="Write the fixes that keep what is meant; then lint again."),
    deny: list[str] = typer.Option(
        [], "--deny", metavar="RULE", help="Findings of this rule are errors.", autocompletion=complete.rules
    ),
    warn: list[str] = typer.Option(
        [], "--warn", metavar="RULE", help="Findings of this rule are warnings.", autocompletion=complete.rules
    ),
    allow: list[str] = typer.Option(
        [], "--allow", metavar="RULE", help="This rule is not applied.", autocompletion=complete.rules
    ),
) -> None:
    """Advise on recipes: what is allowed, and known to cost accuracy or trust.

    Shows what `validate` finds as well. Nothing is fetched: rules that need the
    model and the data are applied when both can be read here without a network,
    and one finding (L000) says which were not. `recipelang explain no-never`
    tells of a rule, by name or by code.

    Levels are deny (an error, exit code 1), warn, info and allow. They are set
    in the nearest `recipelang.toml` above the recipe, and by the options here:

      [lint]

      no-distillation = "deny"

    A comment on the line above allows one finding, and says why:

      # recipe: allow(L020) distillation is the ablation

    Examples:

      recipelang lint squad.recipe

      recipelang lint --deny L003 --fix squad.recipe
    """
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"  # read when their libraries load
    findings: list[Diagnostic] = []
    try:
        chosen = _chosen(deny, warn, allow)
        settings = Settings(read_around(param, params, overlay), chosen)
    except RecipeError as error:
        report(error.diagnostics, findings, format)
        files = []
    for name in files:
        try:
            found = _lint(read_source(name), settings, fix)
        except RecipeError as error:
            report(error.diagnostics, findings, format)
            continue
        report(found, findings, format)
        if format is Format.full:
            print(f"{name}: {_summary(found)}", file=sys.stderr if name == "-" and fix else sys.stdout)
    if format is Format.json:
        print(json.dumps(as_json(findings), indent=2, ensure_ascii=False))
    if any(d.severity == "error" for d in findings):
        raise typer.Exit(Exit.ERRORS)


def _chosen(deny: list[str], warn: list[str], allow: list[str]) -> dict[str, Level]:
    from recipelang.lint import choose

    return choose({"deny": deny, "warn": warn, "allow": allow})


def _lint(source: Source, settings: Settings, fix: bool) -> Sequence[Diagnostic]:
    found = _judged(source, settings)
    if not fix or source.name.startswith("lib://"):
        return found
    start = source
    for _ in range(ROUNDS):
        mended = Source(source.name, applied(source, found))
        after = _judged(mended, settings)
        if mended == source or _mistakes(after) - _mistakes(found):
            break
        source, found = mended, after
    if source != start:
        _write(source)
    if source.name == "<stdin>":
        sys.stdout.write(source.text)
    return found


def _mistakes(found: Sequence[Diagnostic]) -> set[str]:
    return {d.code for d in found if d.code[0] == "E"}


def _write(source: Source) -> None:
    if source.name != "<stdin>":
        from recipelang.cli.fmt import write

        write(Path(source.name), source.text)


def _judged(source: Source, settings: Settings) -> Sequence[Diagnostic]:
    """What `validate` finds, and unless that is an error, what the rules find."""
    around = settings.around
    checked = check_all(source, around.given, overlays=around.overlays)
    if checked.diagnostics.errors:
        return checked.diagnostics.sorted()
    from recipelang.lint import judge, levels_for, read_plan

    folder = beside("-" if source.name == "<stdin>" else source.name)
    levels = levels_for(folder, settings.levels)
    plan, absent = read_plan(checked.recipe, folder, checked.diagnostics) if checked.recipe else (None, None)
    as_written = not around.given and not around.overlays
    checked.diagnostics.extend(judge(checked, plan, levels, absent, as_written=as_written))
    return checked.diagnostics.sorted()


def _summary(found: Sequence[Diagnostic]) -> str:
    """`2 errors, 1 warning`, or `no findings`."""
    counts = Counter(d.severity for d in found)
    words = {"error": "error", "warning": "warning", "info": "remark"}
    shown = [f"{n} {word}{'s' if n > 1 else ''}" for level, word in words.items() if (n := counts[level])]  # type: ignore[index]
    return ", ".join(shown) or "no findings"
