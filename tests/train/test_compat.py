"""A stage with `compat = sparseml_1` trains by SparseML's steps and values, and loses nothing when it is cut."""

import pytest

from recipelang.engine.records import Interrupted
from recipelang.loading.plan import planned
from recipelang.schedules.stepwise import at

from .steps import StopAt, run, same, weights

RATE = "linear(1e-3 -> 1e-4, over = start..1.5 epochs)"


def compat(project):
    path = project(extra="compat = sparseml_1")
    text = path.read_text("utf-8").replace("linear(1e-3 -> 1e-4, over = start..end, rewind = 1 epoch)", RATE)
    text = text.replace("over = 0%..80%, every = 2 steps", "over = 0.1 epochs..1.5 epochs, every = 0.3 epochs")
    path.write_text(text, "utf-8")
    return path


def test_a_run_follows_the_plan_to_the_end(project, tmp_path):
    path = compat(project)
    _, plan, _ = planned(str(path))
    sparse = plan.stages[1]
    per_epoch, events = sparse.steps_per_epoch, sparse.prunes[0].events
    assert sparse.prunes[0].ties == "sparseml_1"
    assert events[0].step == 1 and events[-1].step == 1.5 * per_epoch
    assert [e.step for e in events] != [e.step for e in planned(str(project()))[1].stages[1].prunes[0].events]
    # at the end of its window a rate has its last value, and keeps it
    assert at(sparse.learning_rate, int(1.5 * per_epoch)) == at(sparse.learning_rate, sparse.steps - 1) == 1e-4
    assert at(sparse.learning_rate, int(1.5 * per_epoch) - 1) > 1e-4
    run(path, tmp_path / "out")
    found = {n: w for n, w in weights(tmp_path / "out").items() if n in {t.name for t in sparse.prunes[0].targets}}
    assert [int((found[t.name] == 0).sum()) for t in sparse.prunes[0].targets] == list(events[-1].zeros)


def test_interrupted_and_resumed_is_the_same(project, tmp_path):
    path = compat(project)
    run(path, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(path, tmp_path / "cut", StopAt(14))
    run(path, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
