"""Who is told of a run: several at once, each of every event, and the curves among them."""

import math
from types import SimpleNamespace

from recipelang.engine.event_log import Curves
from recipelang.engine.records import Reporter, Several

EVENTS = [name for name in vars(Reporter) if not name.startswith("_")]


def test_each_of_several_is_told_of_every_event_in_order():
    told: list[tuple[str, str]] = []

    def listening(who: str) -> Reporter:
        methods = {n: lambda self, *_, n=n, **__: told.append((who, n)) for n in EVENTS}
        return type("Listening", (Reporter,), methods)()

    both = Several(listening("a"), listening("b"))
    for name in EVENTS:
        getattr(both, name)("anything", 1, more=2)
    assert told == [(who, name) for name in EVENTS for who in "ab"]


def test_the_largest_norm_since_the_last_point_is_logged_and_what_overflowed_is_not():
    stage = SimpleNamespace(name="a", steps=25)
    added: list[dict[str, float]] = []
    log = SimpleNamespace(add=lambda step, scalars: added.append(scalars))
    curves = Curves(SimpleNamespace(stages=[stage]), log)
    curves.stage_started(stage, 25, 0)
    norms = [1.0, 7.0, math.inf, math.nan, *[0.5] * 16, *[math.inf] * 5]
    for step, norm in enumerate(norms, 1):
        curves.normed(stage, step, norm)
        curves.stepped(stage, step, 1.0, 0.5, 0.25)
    assert [s.get("train/largest_gradient_norm") for s in added] == [7.0, 0.5, None]


def test_curves_count_steps_over_all_stages_and_end_with_the_last_step():
    first, second, shot = (SimpleNamespace(name=n, steps=s) for n, s in (("a", 25), ("b", 12), ("c", 0)))
    added: list[tuple[int, dict[str, float]]] = []
    log = SimpleNamespace(add=lambda step, scalars: added.append((step, scalars)))
    curves = Curves(SimpleNamespace(stages=[first, second, shot]), log)
    curves.evaluated(None, "dev", {"f1": 0.1})
    for stage in (first, second):
        curves.stage_started(stage, stage.steps, 0)
        for step in range(1, stage.steps + 1):
            curves.stepped(stage, step, 1.0, 0.5, 0.25)
    curves.evaluated("b", "dev", {"f1": 0.5}, 6)
    curves.evaluated("b", "dev", {"f1": 0.7})
    curves.pruned(shot, 0.9)
    assert [step for step, _ in added] == [10, 20, 25, 35, 37, 31, 37, 37]
    assert added[0][1] == {"train/loss": 1.0, "train/learning_rate": 0.5, "train/sparsity": 0.25}
    assert added[5:] == [(31, {"dev/f1": 0.5}), (37, {"dev/f1": 0.7}), (37, {"train/sparsity": 0.9})]
