"""Sizes and speeds that a run recorded: counted again, and times held against the rounds that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from pathlib import Path
from typing import Any

from recipelang.engine import speeds
from recipelang.planning.figure_plan import FigurePlan
from recipelang.planning.formats import size_of
from recipelang.planning.types import Plan
from recipelang.source import fail
from recipelang.source.render import line_of
from recipelang.source.words import plural

_CHANGED = "the record was changed after the run"


def check_figures(folder: Path, plan: Plan, record: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    """E140 for a figure that is not what the files, the plan or the recorded times come to."""
    recorded: dict[str, float] = record.get("figures", {})
    planned = {f.text: f for f in plan.figures} if plan.rehearsal is None else {}
    if recorded != said.get("figures", {}):
        raise fail("E140", "`run.json` and the statement differ in sizes and speeds", help=_CHANGED)
    if odd := sorted(recorded.keys() - planned.keys()):
        raise fail("E140", f"`run.json` records `{line_of(odd[0])[:80]}`, which no claim names", help=_CHANGED)
    times = speeds.read(record)
    asked = {(f.batch, f.length, f.threads) for f in planned.values() if f.timed}
    settings = [(t.batch, t.length, t.threads) for t in times]
    if len(set(settings)) != len(settings) or not {*settings} <= asked:
        raise fail("E140", "`run.json` records times that no claim names", help=_CHANGED)
    wanted = speeds.values(times, planned.values())
    for text, figure in planned.items():
        if not figure.timed and text in recorded:
            wanted[text] = _again(folder, figure, recorded[text])
    for text in (t for t in planned if t in recorded or t in wanted):
        if not isclose(recorded.get(text, -1.0), wanted.get(text, -2.0), rel_tol=1e-12):
            what = "the recorded times" if planned[text].timed else "the files and the plan"
            message = f"`{line_of(text)[:100]}` in `run.json` is not what {what} come to"
            raise fail("E140", message, help=_CHANGED)
    timed = sum(f.timed for f in planned.values())
    told = f"{plural(len(recorded) - len(wanted.keys() & {t for t, f in planned.items() if f.timed}), 'size')} counted again"
    return told + (f"; {plural(timed, 'speed')} recorded, not repeated" if timed else "")


def _again(folder: Path, figure: FigurePlan, recorded: float) -> float:
    """Of a count or a size; of operations that no plan can tell it is the recorded one."""
    where = folder / "stages" / figure.of if figure.of else folder
    if figure.name == "size" and not figure.base:
        return size_of(where, figure.format)
    if figure.planned is not None:  # the plan was compiled again, and is the same
        return figure.planned[0]
    return recorded


def repeated(plan: Plan, recorded: Mapping[str, float]) -> frozenset[str]:
    """The figures that were counted again; of the model as it came only what the result tells."""
    counted = (f for f in plan.figures if not f.timed and (f.planned or f.name == "size") and f.text in recorded)
    return frozenset(f.text for f in counted if not f.base or (f.name != "size" and plan.model.drop is None))
