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

from recipelang.cli import complete
from recipelang.cli.exit_codes import Exit
from recipelang.cli.read import read_params, read_source
from recipelang.cli.validate import Format, as_json, check_all, report
from recipelang.source import Diagnostic, RecipeError, Source
from recipelang.source.fixes import applied
from recipelang.spec.params import Given

if TYPE_CHECKING:
    from recipelang.lint import Level


#: a mended error lets the rules speak, and they may have fixes as well
ROUNDS = 3


@dataclass(frozen=True)
class Settings:
    """What the options say, for every file the same."""

    given: Mapping[str, Given]
    levels: Mapping[str, Level]


def lint(
    files: list[str] = typer.Argument(
        ..., metavar="FILE", help="Recipe files; `-` reads standard input.", autocompletion=complete.recipes
    ),
    param: list[str] = typer.Option(
        [], "-p", "--param", metavar="NAME=VALUE", help="Give a parameter a value.", autocompletion=complete.params
    ),
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
        settings = _settings(param, deny, warn, allow)
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


def _settings(param: list[str], deny: list[str], warn: list[str], allow: list[str]) -> Settings:
    from recipelang.lint import choose

    return Settings(read_params(param), choose({"deny": deny, "warn": warn, "allow": allow}))


def _lint(source: Source, settings: Settings, fix: bool) -> Sequence[Diagnostic]:
    found = _judged(source, settings)
    if not fix:
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
    checked = check_all(source, dict(settings.given))
    if checked.diagnostics.errors:
        return checked.diagnostics.sorted()
    from recipelang.lint import judge, levels_for, read_plan

    beside = Path.cwd() if source.name == "<stdin>" else Path(source.name).resolve().parent
    levels = levels_for(beside, settings.levels)
    plan, absent = read_plan(checked.recipe, beside, checked.diagnostics) if checked.recipe else (None, None)
    checked.diagnostics.extend(judge(checked, plan, levels, absent, as_written=not settings.given))
    return checked.diagnostics.sorted()


def _summary(found: Sequence[Diagnostic]) -> str:
    """`2 errors, 1 warning`, or `no findings`."""
    counts = Counter(d.severity for d in found)
    words = {"error": "error", "warning": "warning", "info": "remark"}
    shown = [f"{n} {word}{'s' if n > 1 else ''}" for level, word in words.items() if (n := counts[level])]  # type: ignore[index]
    return ", ".join(shown) or "no findings"
