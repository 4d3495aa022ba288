"""The table of a study as rows of text: the screen, Markdown and CSV show the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from recipelang.source.words import plural
from recipelang.spec.claims import RATIO_METRICS
from recipelang.study.read import Study
from recipelang.study.results import Row, best
from recipelang.study.statistics import Difference, Spread

NOTE = (
    "mean ± standard deviation over seeds (n - 1); each difference is this arm minus the baseline, paired by seed, with "
    "its 95% interval (Student's t); zeros are shares of the pruned weights and of all parameters"
)


def telling(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """The rows that people are shown, and what is said of the others, if there are any."""
    shown = [r for r in rows if r.n or r.failed]
    left = len(rows) - len(shown)
    if not left:
        return shown, ""
    return (
        shown,
        f"{plural(left, 'row')} without a finished run left out",
    )


def _first(study: Study) -> str:
    """The head of the first column: what the rows are."""
    return "arm" if study.search is None else "trial"


def _named(study: Study, row: Row) -> str:
    return row.point.arm.name if study.search is None else row.point.at


def heads(study: Study, rows: Sequence[Row], *, short: bool = False) -> list[str]:
    """`short`: the difference of the first metric only."""
    found = [_first(study), *(v.name for v in study.vary), "n"]
    for i, name in enumerate(_metrics(rows)):
        found.append(name)
        if study.baseline is not None and not (short and i):
            found.append(f"{name} - {study.baseline}")
    return [*found, "zeros", "of all", "minutes", "remarks"]


def cells(study: Study, rows: Sequence[Row], *, short: bool = False) -> list[list[str]]:
    found = best(study, rows)
    return [_cells(study, row, _metrics(rows), short, row is found) for row in rows]


def _metrics(rows: Sequence[Row]) -> list[str]:
    """Values at the end first, then those after a stage."""
    names = dict.fromkeys(n for r in rows for n in r.metrics)
    return sorted(names, key=lambda n: n.startswith("stage."))


def _cells(study: Study, row: Row, metrics: Sequence[str], short: bool, is_best: bool) -> list[str]:
    line = [_named(study, row), *(text for _, text in row.point.values), f"{row.n}"]
    for i, name in enumerate(metrics):
        line.append(_spread(name, row.metrics.get(name)))
        if study.baseline is not None and not (short and i):
            line.append(difference(name, row.differences.get(name)))
    return [
        *line,
        f"{row.targets.mean:.2%}" if row.targets else "",
        f"{row.all_parameters.mean:.2%}" if row.all_parameters else "",
        f"{row.seconds.mean / 60:.1f}" if row.seconds else "",
        ", ".join(filter(None, ("best" if is_best else "", remarks(row)))),
    ]


def remarks(row: Row) -> str:
    waiting = row.of - row.n - row.failed
    said = [f"rehearsal of {plural(row.rehearsal, 'step')} per stage"] if row.rehearsal else []
    said += [f"{waiting} to run"] if waiting else []
    said += [f"{row.failed} failed"] if row.failed else []
    said += [f"claims not met in {row.unmet}"] if row.unmet else []
    said += row.measured_on
    return ", ".join(said)


def is_ratio(name: str) -> bool:
    return name.rpartition(".")[2] in RATIO_METRICS


def _spread(name: str, s: Spread | None) -> str:
    if s is None:
        return ""
    by = 100 if is_ratio(name) else 1
    return f"{by * s.mean:.2f}" + (f" ± {by * s.sd:.2f}" if s.sd is not None else "")


def difference(name: str, d: Difference | None) -> str:
    if d is None:
        return ""
    by = 100 if is_ratio(name) else 1
    text = f"{by * d.mean:+.2f}"
    return text if d.low is None or d.high is None else f"{text} [{by * d.low:+.2f}, {by * d.high:+.2f}]"


def markdown(study: Study, rows: Sequence[Row]) -> str:
    from recipelang.reference.markdown import line, page, table

    own = 1 + len(study.vary)  # words of the study; the rest are numbers
    shown, left = telling(rows)
    body = [[*map(line, row[:own]), *row[own:]] for row in cells(study, shown)]
    note = f"{NOTE[0].upper()}{NOTE[1:]}. Metrics that are ratios are in percent.{f' {left}.' if left else ''}"
    return page(line(study.name), line(study.doc), table(heads(study, shown), body) if shown else "", note)


def comma_separated(study: Study, rows: Sequence[Row]) -> str:
    """Numbers as they are, unrounded: one line a row."""
    metrics = _metrics(rows)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = [_first(study), *(v.name for v in study.vary), "n", "rehearsal"]
    head += ["zeros_of_targets", "zeros_of_all", "seconds"]
    for m in metrics:
        head += [m, f"{m}_sd", f"{m}_difference", f"{m}_low", f"{m}_high"]
    writer.writerow(head)
    for r in rows:
        line: list[object] = [_named(study, r), *(t for _, t in r.point.values), r.n, r.rehearsal]
        line += [s.mean if s else "" for s in (r.targets, r.all_parameters, r.seconds)]
        for m in metrics:
            s, d = r.metrics.get(m), r.differences.get(m)
            line += [s.mean, s.sd] if s else ["", ""]
            line += [d.mean, d.low, d.high] if d else ["", "", ""]
        writer.writerow(["" if v is None else v for v in line])
    return out.getvalue()
