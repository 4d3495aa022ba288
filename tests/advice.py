"""What tests of rules share: the findings of a recipe, judged with the tiny model where it is there."""

from __future__ import annotations

from pathlib import Path

from recipelang.lint import judge, levels_for, read_plan
from recipelang.loading.files import read_source
from recipelang.loading.read import check_all
from recipelang.source import Diagnostic
from tests.reading import files_of


def findings(path: Path, text: str | None = None) -> list[Diagnostic]:
    """Every finding of the rules; `text` is written to the file first."""
    if text is not None:
        path = files_of(text, path.parent)
    checked = check_all(read_source(str(path)), {})
    assert [f"{d.code} {d.message}" for d in checked.diagnostics.errors] == []
    plan, absent = read_plan(checked.recipe, path.parent, checked.diagnostics) if checked.recipe else (None, None)
    return judge(checked, plan, levels_for(path.parent, {}), absent)


def codes(path: Path, text: str | None = None) -> list[str]:
    return [d.code for d in findings(path, text)]
