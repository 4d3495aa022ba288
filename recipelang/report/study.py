"""The page of a study: the table, accuracy against sparsity, differences with their intervals, every run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from recipelang.report import page as p
from recipelang.report.chart import Axis, Chart, Series, svg
from recipelang.report.pictures import write_pictures
from recipelang.report.run import NAME
from recipelang.source.markup import escape
from recipelang.source.render import clean
from recipelang.source.words import duration, first_n, plural
from recipelang.spec.claims import metric_text
from recipelang.storage.writing import write_json, write_text, writing
from recipelang.study import table
from recipelang.study.read import Search, Study
from recipelang.study.results import Outcome, Row, document, rows

Value = tuple[tuple[str, str], ...]


def text(study: Study, outcomes: Sequence[Outcome]) -> str:
    made, left = table.telling(rows(study, outcomes))
    heads, own = table.heads(study, made), 1 + len(study.vary)
    done = [o for o in outcomes if o.status == "finished"]
    return p.page(
        clean(study.name),
        p.heading(clean(study.name), [f"{len(done)} of {plural(len(outcomes), 'run')} finished", *_devices(done)]),
        p.paragraphs(_rehearsed(outcomes)),
        p.paragraphs(clean(study.doc)),
        p.section("Results", p.figures(charts(study, made)), _note(study)),
        p.section(
            "Table", p.table(heads, table.cells(study, made), numbers=range(own, len(heads) - 1)), _explained(left)
        ),
        p.section("Runs", p.table(*_runs(outcomes), numbers=(3, 4, 5), raw=True)),
        p.section("Provenance", p.folded("the study", p.listing(study.source.text)), *_recipes(study)),
    )


def pictures(study: Study, outcomes: Sequence[Outcome]) -> dict[str, str]:
    """The plots by name, for files of their own."""
    found = charts(study, rows(study, outcomes))
    more = " (rehearsal)" if _rehearsed(outcomes) else ""
    return {_file(c.title): svg(replace(c, title=c.title + more), titled=True) for c in found if not c.empty}


def _rehearsed(outcomes: Sequence[Outcome]) -> str:
    steps = next((o.variant.plan.rehearsal for o in outcomes), None)
    return f"Rehearsals: every run was limited to {first_n(steps, 'step')} of every stage." if steps else ""


def _file(title: str) -> str:
    return re.sub(r"[^\w.=]+", "-", title.replace("%", "")).strip("-")


# ---------------------------------------------------------------------- plots
def charts(study: Study, made: Sequence[Row]) -> list[Chart]:
    """For each metric: along the varied parameter, along zeros, sizes and speeds, and differences."""
    metrics = [n for n in dict.fromkeys(n for r in made for n in r.metrics) if not n.startswith("stage.")]
    if study.search is not None:
        return _of_search(study, study.search, made)
    axis = _axis(study)
    panels = _panels(made, axis)
    found: list[Chart] = []
    for metric in metrics:
        for name, lines in panels.items():
            of = f"{metric}, {name}" if name else metric
            if axis is not None:
                found.append(_against_axis(of, metric, axis, lines))
            else:
                found.append(_of_arms(of, metric, lines))
            if axis is not None:
                found.append(_against_zeros(of, metric, lines))
            found += _against_figures(of, metric, lines)
            if study.baseline is not None:
                found.append(_differences(study.baseline, of, metric, axis, lines))
    return found


def _of_search(study: Study, search: Search, made: Sequence[Row]) -> list[Chart]:
    """The metric that is sought, trial by trial, and along each parameter."""
    known = [r for r in made if search.path in r.metrics]
    found = []
    for name in (None, *(v.name for v in study.vary)):
        texts = [dict(r.point.values)[name] if name else r.point.at.rpartition("-")[2] for r in known]
        names = [] if all(_number(x) is not None for x in texts) else list(dict.fromkeys(texts))
        places = [float(names.index(x)) if names else _number(x) or 0.0 for x in texts]
        points = [(x, r.metrics[search.path].mean) for x, r in zip(places, known, strict=True)]
        series = Series("", points, 0, [_ends(r, search.path) for r in known], line=False)
        axis = (
            Axis(names=[clean(n) for n in names])
            if names
            else Axis(clean(name or "trial"), texts[:1] != [] and texts[0].endswith("%"))
        )
        found.append(Chart(f"{search.path} against {name or 'trial'}", [series], axis, _y(search.path)))
    return found if known else []


class _Along:
    """The parameter that plots have along them: a number of each value, or its place among the values."""

    def __init__(self, study: Study, name: str) -> None:
        self.name = name
        self.values = next([study.source.slice(e.span) for e in v.values] for v in study.vary if v.name == name)
        numbers = [_number(v) for v in self.values]
        self.numbers = [n for n in numbers if n is not None]
        self.named = len(self.numbers) < len(numbers)
        self.percent = all(v.endswith("%") for v in self.values)

    def place(self, row: Row) -> float:
        value = dict(row.point.values)[self.name]
        number = _number(value)
        return float(self.values.index(value)) if self.named or number is None else number

    @property
    def axis(self) -> Axis:
        return (
            Axis(clean(self.name), names=[clean(v) for v in self.values])
            if self.named
            else Axis(clean(self.name), self.percent)
        )


def _number(text: str) -> float | None:
    """`90%` is 0.9, `2 epochs` is 2."""
    word = text.split(maxsplit=1)[0].replace("_", "")
    try:
        return float(word[:-1]) / 100 if word.endswith("%") else float(word)
    except ValueError:
        return None


def _axis(study: Study) -> _Along | None:
    if not study.vary:
        return None
    return _Along(study, study.against or study.vary[0].name)


def _panels(made: Sequence[Row], axis: _Along | None) -> dict[str, dict[str, list[Row]]]:
    """Charts by the values of the other parameters, each with a line an arm; of one arm, a line a value instead.

    What has no finished run is left out, as it is in the table.
    """
    one = len({r.point.arm.name for r in made}) == 1
    found: dict[str, dict[str, list[Row]]] = {}
    for row in (r for r in made if r.n):
        others = [f"{n} = {v}" for n, v in row.point.values if axis is None or n != axis.name]
        rest = clean(", ".join(others))
        panel, line = ("", rest or row.point.arm.name) if one else (rest, row.point.arm.name)
        found.setdefault(panel, {}).setdefault(line, []).append(row)
    return found


def _ends(row: Row, metric: str) -> tuple[float, float]:
    s = row.metrics[metric]
    return s.mean - (s.sd or 0.0), s.mean + (s.sd or 0.0)


def _against_axis(of: str, metric: str, axis: _Along, lines: dict[str, list[Row]]) -> Chart:
    series = []
    for i, (name, found) in enumerate(lines.items()):
        known = [r for r in found if metric in r.metrics]
        points = [(axis.place(r), r.metrics[metric].mean) for r in known]
        series.append(Series(name, points, i, [_ends(r, metric) for r in known]))
    return Chart(f"{of} against {axis.name}", series, axis.axis, _y(metric), apart=1.5)


def _against_zeros(of: str, metric: str, lines: dict[str, list[Row]]) -> Chart:
    """What an arm leaves dense counts here: 90 % of an encoder are less of the whole model."""
    series = []
    for i, (name, found) in enumerate(lines.items()):
        known = sorted(
            ((r.all_parameters.mean, r) for r in found if metric in r.metrics and r.all_parameters), key=lambda x: x[0]
        )
        points = [(x, r.metrics[metric].mean) for x, r in known]
        series.append(Series(name, points, i, [_ends(r, metric) for _, r in known]))
    return Chart(f"{of} against zeros of all parameters", series, Axis("zeros of all parameters", True), _y(metric))


def _against_figures(of: str, metric: str, lines: dict[str, list[Row]]) -> list[Chart]:
    """A metric against each size and speed that the runs measured and that differs between them: one point a row."""
    every = [r for found in lines.values() for r in found if metric in r.metrics]
    charts = []
    for figure in dict.fromkeys(n for r in every for n in r.figures):
        if len({r.figures[figure].mean for r in every if figure in r.figures}) < 2:
            continue
        series = []
        for i, (name, found) in enumerate(lines.items()):
            known = [r for r in found if metric in r.metrics and figure in r.figures]
            points = [(r.figures[figure].mean, r.metrics[metric].mean) for r in known]
            series.append(Series(name, points, i, [_ends(r, metric) for r in known], line=False))
        charts.append(Chart(f"{of} against {figure}", series, Axis(figure), _y(metric)))
    return charts


def _of_arms(of: str, metric: str, lines: dict[str, list[Row]]) -> Chart:
    names = list(lines)
    series = []
    for i, name in enumerate(names):
        known = [r for r in lines[name] if metric in r.metrics]
        points = [(float(i), r.metrics[metric].mean) for r in known]
        series.append(Series("", points, i, [_ends(r, metric) for r in known], line=False))
    return Chart(of, series, Axis(names=names), _y(metric))


def _differences(baseline: str, of: str, metric: str, axis: _Along | None, lines: dict[str, list[Row]]) -> Chart:
    """Means of paired differences with their 95 % intervals; of shares in percentage points."""
    series = []
    by = 100 if table.is_ratio(metric) else 1
    for i, (name, found) in enumerate(lines.items()):
        known = [(r, r.differences[metric]) for r in found if metric in r.differences]
        if not known:
            continue
        points = [(axis.place(r) if axis else 0.0, by * d.mean) for r, d in known]
        ends = [(d.mean if d.low is None else d.low, d.mean if d.high is None else d.high) for _, d in known]
        spans = [(by * low, by * high) for low, high in ends]
        series.append(Series(name, points, i, spans, line=False))
    x = axis.axis if axis else Axis(names=[""])
    unit = " in points" if by == 100 else ""
    return Chart(f"{of}: difference from {baseline}{unit}", series, x, Axis(), level=0.0, apart=5.0)


def _y(metric: str) -> Axis:
    return Axis(percent=table.is_ratio(metric))


# ---------------------------------------------------------------------- words
def _note(study: Study) -> str:
    said = "Error bars show one standard deviation over seeds (n - 1)."
    if study.baseline is not None:
        said += " For differences they show the 95% interval: one that excludes zero is unlikely to be seed noise."
    return f'<p class="quiet-text">{escape(said)}</p>'


def _explained(left: str) -> str:
    return (
        f'<p class="quiet-text">{escape(table.NOTE[0].upper() + table.NOTE[1:])}. Shares are in percent. The interval '
        "is mean(d) ± t · sd(d) / √n over the differences d, with the 97.5% quantile t of Student's t distribution "
        f"with n - 1 degrees of freedom; one pair has no interval.{f' {left}.' if left else ''}</p>"
    )


def _devices(done: Iterable[Outcome]) -> list[str]:
    return [clean(d) for d in dict.fromkeys(o.device for o in done) if d]


def _runs(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    lines = []
    for o in outcomes:
        metrics = ", ".join(f"{n} {metric_text(n, v)}" for n, v in o.metrics.items() if not n.startswith("stage."))
        name = escape(o.variant.name)
        link = f'<a href="runs/{name}/{NAME}">{name}</a>' if o.status == "finished" else name
        said = "; ".join([*([o.error] if o.error else []), *(f"not met: {c}" for c in o.unmet)])
        state = "to run" if o.status == "waiting" else o.status
        zeros = f"{o.targets:.2%}" if o.targets is not None else ""
        took = duration(o.seconds) if o.seconds is not None else ""
        lines.append([link, escape(state), escape(metrics), zeros, f"{o.variant.plan.steps:,}", took, escape(said)])
    return ["run", "state", "measured", "zeros", "steps", "time", "remarks"], lines


def _recipes(study: Study) -> list[str]:
    named = {a.of.name: a.of for a in study.arms}
    return [p.folded(f"the recipe {clean(n.rpartition('/')[2])}", p.listing(s.text)) for n, s in named.items()]


def write(study: Study, folder: Path, outcomes: Sequence[Outcome]) -> None:
    """The table in three forms, the plots, the report."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    made = rows(study, outcomes)
    write_json(folder / "study.json", document(study, outcomes))
    write_text(folder / "study.md", table.markdown(study, made))
    write_text(folder / "study.csv", table.comma_separated(study, made))
    write_text(folder / NAME, text(study, outcomes))
    write_pictures(folder, pictures(study, outcomes))
