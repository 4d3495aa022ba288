"""`stop_early`: a stage ends when what is measured no longer improves, with the schedules and the masks of its plan."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

from recipelang.engine.best import _wait
from recipelang.engine.records import Interrupted, Reporter
from recipelang.planning.watch_plan import StopPlan

from .steps import run, same, stopped_often, weights
from .test_keep_best import STEPS, Measured, plan_of, recipe_of, record

#: so much is never gained: the value of step 9 is the first that counts, and the stage waits for one more
LINE = "stop_early = dev.perplexity, patience = 1, min_delta = 1_000"
STOPPED = 12


class Last(Reporter):
    """The last step of the second stage, and a signal after `stop_at`."""

    def __init__(self, stop_at: int = 0) -> None:
        self.last, self.stop_at = 0, stop_at
        self.rates: list[float] = []

    def stepped(self, stage, step, loss, rate, sparsity) -> None:
        if stage.name == "sparse":
            self.last = step
            self.rates.append(rate)
            if step == self.stop_at:
                os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, Last]:
    folder = tmp_path_factory.mktemp("early")
    seen = Last()
    run(recipe_of(folder, LINE), folder / "out", seen)
    return folder, seen


def test_it_ends_after_as_many_measurements_as_it_has_patience(whole) -> None:
    folder, seen = whole
    assert seen.last == STOPPED < STEPS
    assert record(folder / "out")["stopped"] == {"sparse": STOPPED}
    assert record(folder / "out")["sparsity"]["targets"] == pytest.approx(0.9, abs=1e-3)


def test_until_then_it_is_the_stage_of_the_plan(whole, tmp_path: Path) -> None:
    """The same weights after that step, and the same rates: the schedules are not made shorter."""
    folder, seen = whole
    long = Last(STOPPED)
    with pytest.raises(Interrupted):
        run(recipe_of(tmp_path, ""), tmp_path / "out", long)
    newest = tmp_path / "out" / "checkpoints" / f"stage-01-step-{STOPPED:08d}"
    there, here = load_file(newest / "model.safetensors"), weights(folder / "out")
    assert same(there, {n: here[n] for n in there})
    assert seen.rates == long.rates


@pytest.mark.parametrize("steps", [1, 5])
def test_interrupted_after_steps_it_is_the_same(whole, steps: int, tmp_path: Path) -> None:
    folder, _ = whole
    assert stopped_often(recipe_of(tmp_path, LINE), tmp_path / "out", steps) > 2
    assert same(weights(tmp_path / "out"), weights(folder / "out"))
    assert record(tmp_path / "out")["stopped"] == {"sparse": STOPPED}


@pytest.mark.parametrize("number", [5, 6, 7])
def test_interrupted_inside_a_measurement_it_is_the_same(whole, number: int, tmp_path: Path) -> None:
    """The sixth decides that the stage ends, the seventh is that of its end."""
    folder, _ = whole
    recipe = recipe_of(tmp_path, LINE)
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "out", Measured(number))
    run(recipe, tmp_path / "out", resume=True)
    assert same(weights(tmp_path / "out"), weights(folder / "out"))
    assert record(tmp_path / "out")["stopped"] == {"sparse": STOPPED}


def test_with_keep_best_the_best_comes_out(tmp_path: Path) -> None:
    seen = Measured()
    run(recipe_of(tmp_path, f"{LINE}\n  keep_best = dev.perplexity"), tmp_path / "out", seen)
    told = record(tmp_path / "out")
    inside = {step: value for step, value in seen.values.items() if step in (9, STOPPED)}
    assert told["stopped"] == {"sparse": STOPPED}
    assert told["best"]["sparse"]["step"] == min(inside, key=lambda s: inside[s])
    assert seen.values[None] == min(inside.values())


# --------------------------------------------------------------------- patience
def after(values: list[float], metric: str = "f1", **more: float) -> int | None:
    """The measurement, from 1, after which a stage ends."""
    stop = StopPlan(evaluation="dev", metric=metric, since=1, every=1, patience=2, **more)
    position = SimpleNamespace(waits={}, stopped={})
    course = SimpleNamespace(position=position, reporter=Reporter())
    stage = SimpleNamespace(name="sparse", steps=100)
    for step, value in enumerate(values, 1):
        _wait(course, stage, stop, step, value)  # type: ignore[arg-type]
        if "sparse" in position.stopped:
            return int(position.stopped["sparse"])
    return None


def test_only_what_is_better_than_the_best_resets_patience() -> None:
    assert after([0.5, 0.6, 0.55, 0.7, 0.65, 0.68]) == 6
    assert after([0.5, 0.6, 0.55, 0.7, 0.65, 0.71, 0.7]) is None
    assert after([0.5, 0.5, 0.5]) == 3
    assert after([9.0, 8.0, 8.5, 7.0, 7.5, 7.2], metric="perplexity") == 6


def test_a_gain_of_min_delta_is_none() -> None:
    assert after([0.5, 0.51, 0.52], min_delta=0.25) == 3
    assert after([0.5, 0.75, 0.75], min_delta=0.25) == 3
    assert after([0.5, 0.625, 0.8125], min_delta=0.25) is None  # slowly, but more than that


def test_what_is_no_number_never_improves() -> None:
    nan = float("nan")
    assert after([nan, nan, nan, 0.5, nan, 0.6]) is None
    assert after([0.5, nan, nan]) == 3


# ------------------------------------------------------------------------- plans
def test_the_plan_says_when_it_may_end_first(tmp_path: Path) -> None:
    stop = plan_of(recipe_of(tmp_path, "stop_early = dev.perplexity, patience = 2")).stages[1].stop
    assert (stop.patience, stop.min_delta, stop.earliest(STEPS)) == (2, 0.0, 15)
    endless = plan_of(recipe_of(tmp_path, "stop_early = dev.perplexity")).stages[1].stop
    assert endless.patience == 3 and endless.earliest(STEPS) is None


def test_when_a_stage_ends_is_in_the_behaviour_digest(tmp_path: Path) -> None:
    lines = ("", "stop_early = dev.perplexity", "stop_early = dev.perplexity, patience = 4", LINE)
    assert len({plan_of(recipe_of(tmp_path, line)).behaviour_digest for line in lines}) == 4
