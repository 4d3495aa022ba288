"""Checks, plans and results in a notebook: tables, and schedules as SVG. Everything that is shown is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recipelang.engine.records import Result
from recipelang.kinds.text import show
from recipelang.planning.types import Plan
from recipelang.report import page as p
from recipelang.report.chart import LIGHT, style
from recipelang.report.run import charts, planned
from recipelang.report.speed import HEADS, rows, told
from recipelang.source import Diagnostic, Diagnostics
from recipelang.source.render import clean, render
from recipelang.source.words import duration
from recipelang.spec.claims import metric_text
from recipelang.spec.recipe import Checked, Recipe

if TYPE_CHECKING:
    from recipelang.engine.bench import Bench

#: of this piece of a page only: a notebook has a style of its own
_STYLE = re.sub(
    r"([^{}]+)\{",
    r".recipelang \1{",
    style(LIGHT, "#1c2128", "#626b77", "#dfe3e8")
    + ".charts{display:flex;flex-wrap:wrap;gap:16px}figure{margin:0;padding:8px;width:430px;background:#fff}"
    + "h3{margin:0 0 6px}figure h3{color:#1c2128;font-size:14px}td.text,th.text{text-align:left}",
)


def _framed(title: str, *parts: str) -> str:
    body = "\n".join(part for part in parts if part)
    return f'<div class="recipelang"><style>{_STYLE}</style>{p.heading(clean(title), ())}{body}</div>'


def _found(found: Iterable[Diagnostic]) -> str:
    listed = list(found)
    return p.listing(render(listed)) if listed else ""


def checked(checked: Checked, summary: str) -> str:
    """`summary`: a line of what a sound one holds."""
    stages = checked.recipe.stages if checked.recipe is not None else ()
    rows = [[clean(s.name), s.mode, str(len(s.prunes)), str(len(s.distills))] for s in stages]
    table = p.table(("stage", "mode", "prune blocks", "distills"), rows, numbers=(2, 3))
    return _framed(checked.parsed.source.name, p.paragraphs(summary), _found(checked.diagnostics.sorted()), table)


def plan(plan: Plan, recipe: Recipe, found: Diagnostics) -> str:
    params = [[clean(x.name), clean(show(recipe.evaluator.definition_value(x.name)))] for x in recipe.params]
    claims = [[c.kind, clean(c.text)] for c in plan.claims]
    return _framed(
        plan.name,
        _found(found.sorted()),
        p.figures(charts(plan, {}, {})),
        *planned(plan),
        p.table(("parameter", "value"), params),
        p.table(("claim", "judged at the end"), claims),
    )


def result(result: Result) -> str:
    met = {True: "yes", False: "no", None: "not judged"}
    claims = [[f"{v.claim.kind} {clean(v.claim.text)}", v.expected, v.measured, met[v.met]] for v in result.verdicts]
    metrics = [[clean(n), metric_text(n, v)] for n, v in result.measurements.metrics.items()]
    below = f"finished in {duration(result.seconds)}; all output is in {clean(str(result.out))}"
    return _framed(
        result.plan.name,
        p.paragraphs(below),
        p.table(("claim", "expected", "measured", "met"), claims),
        p.table(("metric", "value"), metrics, numbers=(1,)),
    )


def bench(bench: Bench) -> str:
    return _framed(
        "speed and size",
        _found(bench.diagnostics.sorted()),
        p.table(HEADS, rows(bench), numbers=range(1, len(HEADS))),
        p.paragraphs("\n".join(told(bench))),
    )
