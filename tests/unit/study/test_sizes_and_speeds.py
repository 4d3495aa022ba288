"""A study of smaller models: its page shows a metric against each size and speed that the runs measured."""

from types import SimpleNamespace

from recipelang.report.study import charts
from recipelang.study.results import Row
from recipelang.study.statistics import spread

FAST = "speedup(torch, over = stage.dense, batch = 1, length = 128 tokens, threads = 1)"


def row(arm: str, f1: list[float], **figures: float) -> Row:
    point = SimpleNamespace(arm=SimpleNamespace(name=arm), values=())
    told = {n.replace("fast", FAST).replace("params", "params()"): spread([v]) for n, v in figures.items()}
    return Row(point, len(f1), len(f1), {"dev.f1": spread(f1)}, {}, None, None, None, 0, 0, figures=told)


def against(*rows: Row):
    made = charts(SimpleNamespace(vary=(), baseline=None, against=None, search=None), rows)
    return {c.title.partition(" against ")[2]: c for c in made if " against " in c.title}


def test_a_metric_stands_against_every_size_and_speed_that_differs():
    found = against(row("dense", [0.8, 0.9], fast=1.0, params=22e6), row("half", [0.7, 0.8], fast=1.9, params=16e6))
    assert [*found] == [FAST, "params()"]
    points = [p for s in found[FAST].series for p in s.points]
    assert [(x, round(y, 9)) for x, y in points] == [(1.0, 0.85), (1.9, 0.75)]
    assert not any(s.line for s in found[FAST].series)


def test_what_is_the_same_for_all_runs_or_was_not_measured_has_no_plot():
    assert against(row("a", [0.8], params=1.0), row("b", [0.9], params=1.0)) == {}
    assert against(row("a", [0.8]), row("b", [0.9])) == {}
