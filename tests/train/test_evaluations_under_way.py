"""An evaluation says how far it is, ends where a signal asks to stop, and is made up for by the resumed run."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from recipelang.engine.records import Interrupted
from recipelang.loading.plan import planned
from recipelang.planning.evaluations import FEWEST
from recipelang.report import progress
from tests.cli.command import command

from .steps import Reporter, run, same, weights

TWO = (
    "evaluate dev { metrics = [f1, exact_match] }",
    "evaluate dev { batch = 4, every = 4 steps }\nevaluate again { batch = 5, metrics = [f1], compare = dense }",
)


class StopInside(Reporter):
    """A signal in the middle of the evaluation that is the n-th to begin."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.measured: list[tuple[str | None, str, int | None, dict[str, float]]] = []
        self.told: list[tuple[str, int, int]] = []

    def measuring(self, evaluation, done, of) -> None:
        self.told.append((evaluation.name, done, of))
        self.left -= done == 0
        if self.left == 0 and done:
            self.left = -1
            os.kill(os.getpid(), signal.SIGTERM)

    def evaluated(self, stage, name, metrics, step=None, on="") -> None:
        self.measured.append((stage, name, step, metrics))


@pytest.fixture(scope="module")
def uninterrupted(tiny, tmp_path_factory):
    import shutil

    from ..conftest import RECIPE

    folder = tmp_path_factory.mktemp("measured")
    shutil.copytree(tiny, folder, dirs_exist_ok=True)
    (folder / "tiny.recipe").write_text(RECIPE.format(length="2 epochs", extra="").replace(*TWO), "utf-8")
    seen = StopInside(0)
    result = run(folder / "tiny.recipe", folder / "out", seen)
    return folder / "out", result.measurements.metrics, seen


def test_an_evaluation_is_told_from_its_first_to_its_last_example(uninterrupted):
    _, _, seen = uninterrupted
    assert [done for name, done, _ in seen.told if name == "again"][:5] == [0, 5, 10, 15, 20]
    assert {of for _, _, of in seen.told} == {20}
    assert sum(done == of for _, done, of in seen.told) == len(seen.measured)


def test_a_run_that_is_stopped_in_each_of_its_evaluations_is_the_whole_one(uninterrupted, project, tmp_path):
    out, metrics, seen = uninterrupted
    path = project(replace=TWO)
    found: list = []
    for number in range(1, len(seen.measured) + 1):
        stop = StopInside(number)
        cut = tmp_path / f"cut-{number}"
        with pytest.raises(Interrupted):
            run(path, cut, stop)
        assert len(stop.measured) == number - 1  # the evaluation under way was not finished
        rest = StopInside(0)
        result = run(path, cut, rest, resume=True)
        assert same(weights(cut), weights(out))
        assert result.measurements.metrics == metrics
        found = [*stop.measured, *rest.measured]
        if number > 1:  # before the first stage nothing is kept
            assert found == seen.measured
    assert not list((tmp_path / "cut-2").glob("checkpoints"))


def test_the_steps_before_an_evaluation_at_the_end_are_not_done_again(project, tmp_path):
    path = project(replace=TWO)
    with pytest.raises(Interrupted) as stopped:
        run(path, tmp_path / "cut", StopInside(3))
    assert stopped.value.signal == signal.SIGTERM
    (state,) = (tmp_path / "cut" / "checkpoints").glob("stage-*/state.json")
    body = json.loads(state.read_text("utf-8"))
    assert body["unmeasured"] and (body["stage"], body["step"]) in {(0, 4), (1, 0)}


def test_a_rehearsal_evaluates_as_many_batches_as_it_takes_steps(project, tmp_path):
    path = project(replace=TWO)
    for steps, expected in ((1, [FEWEST, FEWEST]), (4, [16, 20]), (9, [None, None])):
        plan = planned(str(path), rehearsal=steps)[1]
        assert [e.samples if (e.samples or 99) < 20 else None for e in plan.evaluations] == [
            None if n == 20 else n for n in expected
        ]
    done = command("run", str(path), "-o", str(tmp_path / "short"), "--steps", "1")
    text = " ".join(done.out.split())
    assert done.code == 0 and "dev after sparse of the rehearsal: " in text and f"(on {FEWEST} of 20 examples)" in text
    assert "all figures are of the first step of every stage; claims are not checked" in text
    record = json.loads((tmp_path / "short" / "run.json").read_text("utf-8"))
    assert set(record["measured_on"].values()) == {f"{FEWEST} of 20 examples"}


def test_a_verified_rehearsal_is_planned_again_as_one(project, tmp_path, monkeypatch):
    path = project(replace=TWO)
    assert command("run", str(path), "-o", str(tmp_path / "short"), "--steps", "1").code == 0
    said = command("verify", str(tmp_path / "short"))
    assert said.code == 0 and "same as compiled again" in said.out


def test_a_long_evaluation_without_bars_says_how_far_it_is(monkeypatch, project):
    plan = planned(str(project()))[1]
    shown, now = io.StringIO(), [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = progress.Progress(Console(file=shown, width=100))
    for done in (0, 5, 10, 15, 20):
        bar.measuring(plan.evaluations[0], done, 20)
        now[0] += 20
    assert [line.split()[1] for line in shown.getvalue().splitlines()] == ["10"]
    assert "of 20 examples evaluated" in shown.getvalue()


def test_a_bar_names_the_metrics_and_goes_when_the_evaluation_is_done(project):
    plan = planned(str(project()))[1]
    shown = io.StringIO()
    bar = progress.Progress(Console(file=shown, width=100, force_terminal=True))
    with bar:
        bar.measuring(plan.evaluations[0], 0, 20)
        (task,) = bar.bars.tasks
        assert (task.description, task.total, task.fields["now"]) == ("  dev: f1, exact_match", 20, "examples")
        bar.measuring(plan.evaluations[0], 12, 20)
        assert task.completed == 12
        bar.evaluated(None, "dev", {"f1": 0.5})
        assert not bar.bars.tasks


TWICE = """
import os, signal, sys
from pathlib import Path
from recipelang.cli.main import main
from recipelang.report.progress import Progress

def stepped(self, stage, step, *rest):
    if step == 3:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

Progress.stepped = stepped
sys.argv = ["recipelang", "run", sys.argv[1], "-o", sys.argv[2]]
main()
"""


def test_the_second_signal_stops_at_once_and_says_how_to_resume(project, tmp_path):
    path = project()
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(path), str(tmp_path / "a run")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 130, done.stderr
    said = re.sub(r"\s+", " ", done.stderr)
    assert "Ctrl-C again stops at once" in said and f"recipelang resume '{tmp_path}/a run'" in said
