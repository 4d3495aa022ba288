"""`plan --measure`: what is run for it, what is counted on from there, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from recipelang.engine import forecast as fc
from recipelang.engine.clock import Clock
from recipelang.engine.interrupt import _LAST, StopRequests
from recipelang.engine.run_record import examples_of
from recipelang.engine.shortened import measured, outline, shortened, stack_and_layer, walked
from recipelang.loading.plan import planned
from recipelang.planning.types import DistillPlan, FreezePlan, Segment, TermPlan
from tests.cli.command import command


@pytest.fixture
def plan(project):
    def made(length: str = "9 epochs"):
        recipe = project / "tiny.recipe"
        recipe.write_text(recipe.read_text("utf-8").replace("length = 2 epochs", f"length = {length}"), "utf-8")
        return planned(str(recipe))[1]

    return made


def test_time_and_disk_are_predicted_and_nothing_stays(project, tmp_path):
    before = {*tmp_path.iterdir()}
    ended = command("plan", "tiny.recipe", "--measure")
    assert ended.code == 0
    assert "measuring stage `dense`\nmeasuring stage `sparse`\n" in ended.err
    assert " time  about " in ended.out and " disk  at most " in ended.out
    assert {*tmp_path.iterdir()} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_without_a_crash(project, monkeypatch, number, code):
    began = fc._Telling.stage_started

    def stopped(self, *arguments):
        began(self, *arguments)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(fc._Telling, "stage_started", stopped)
    ended = command("plan", "tiny.recipe", "--measure")
    assert ended.code == code
    assert ended.err.endswith(f"stopped by {number.name}; nothing was measured\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_leaves_nothing_behind(plan, monkeypatch, tmp_path, number):
    """It ends the process at once; here it only leaves the function that would go on."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    left: list[tuple[int, list[Path]]] = []

    class Ended(BaseException):
        pass

    def end(code: int) -> None:
        left.append((code, [*(tmp_path / "tmp").iterdir()]))
        raise Ended

    def execute(short, out, *rest, **more):
        (out / "checkpoints").mkdir(parents=True)
        (out / "checkpoints" / "x").touch()
        with StopRequests():
            for _ in range(2):
                signal.raise_signal(number)

    monkeypatch.setattr("recipelang.engine.interrupt.os._exit", end)
    monkeypatch.setattr(fc, "execute", execute)
    with pytest.raises(Ended):
        fc.forecast(plan())
    assert left == [(128 + number, [])] and not _LAST


def test_a_signal_while_it_is_removed_does_not_keep_it(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    real, tried = fc.shutil.rmtree, []

    def interrupted(*arguments, **more):
        tried.append(arguments)
        if len(tried) == 1:
            raise KeyboardInterrupt
        real(*arguments, **more)

    monkeypatch.setattr(fc.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), fc._scratch() as folder:
        (folder / "x").touch()
    assert len(tried) == 2 and not [*tmp_path.iterdir()]


def test_json_has_it_too(project):
    body = json.loads(command("plan", "tiny.recipe", "--measure", "--json").out)["forecast"]
    assert list(body["parts"]) == [
        "check",
        "load",
        "data",
        "stage dense",
        "stage sparse",
        "evaluate dev",
        "checkpoints",
        "export",
    ]
    assert body["seconds"] == pytest.approx(sum(body["parts"].values()))
    assert body["most"] > body["kept"] > 0


def test_a_record_says_where_the_time_went(project, tmp_path):
    assert command("run", "tiny.recipe", "-o", "out").code == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert {"check", "load", "data", "stage dense", "stage sparse", "evaluate dev", "checkpoints", "export"} == {
        *record["parts"]
    }
    assert record["parts"]["stage dense"] <= record["seconds"]["dense"] + 0.0005  # it is rounded


def test_events_come_early(plan):
    whole = plan()
    short = shortened(whole)
    assert short.stages[1].steps == whole.stages[1].steps > short.rehearsal == 13
    events, every = short.stages[1].prunes[0].events, whole.stages[1].prunes[0].events
    middle = every[len(every) // 2]
    assert [(e.step, e.zeros) for e in events] == [(2, every[0].zeros), (3, middle.zeros), (4, every[-1].zeros)]
    assert (short.claims, short.evaluations[0].every) == ((), {})


def test_a_short_stage_is_run_whole(plan):
    whole = plan("1 epoch")
    assert whole.stages[1].steps < 13
    assert shortened(whole).stages == whole.stages


def the_times(steps: dict[str, list[float]]) -> dict[str, fc.Times]:
    """Of steps that take so many seconds."""
    return {n: fc.Times([0.0] * len(each), each) for n, each in steps.items()}


def test_what_is_counted_on(plan):
    whole = plan()
    short = shortened(whole)
    clock = Clock()
    steps = {s.name: [9.0, 5.0, *([1.0] * 11)] for s in whole.stages}
    steps["sparse"][2:5] = [6.0, 3.0, 4.0]  # events take 5, 2 and 3 seconds more
    clock.seconds = Counter(
        {"check": 1, "load": 1, "data": 2, "checkpoints": 6, "export": 1, "end": 2, "evaluate dev": 4}
    )  # type: ignore[assignment]
    clock.seconds |= Counter({f"stage {n}": sum(each) for n, each in steps.items()})
    clock.counts = Counter({"checkpoints": 3, "evaluate dev": 2})
    found = fc.counted_on(whole, short, clock, the_times(steps))
    dense, sparse = whole.stages
    events = len(sparse.prunes[0].events)
    # the first steps take 12 seconds more, once
    assert found.parts["stage dense"] == (dense.steps + 12 if dense.steps > 13 else sum(steps["dense"]))
    assert found.parts["stage sparse"] == sparse.steps + 12 + 5 + 2 * (events - 2) + 3
    inside = sum((s.steps - 1) // s.steps_per_epoch for s in whole.stages if s.steps > 13)
    assert found.parts["checkpoints"] == 2 * (2 + inside)
    assert (found.parts["check"], found.parts["export"]) == (1, 3)
    evaluated = examples_of(whole, whole.evaluations[0]) / measured(whole, whole.evaluations[0])
    assert found.parts["evaluate dev"] == pytest.approx(2 * evaluated * 2)


def with_blocks(plan, **more):
    """The second stage of a plan, with these fields."""
    whole = plan()
    return whole.stages[1].model_copy(update=more)


def test_a_lone_event_is_counted_whole(plan):
    """It was halved: of a block with one event the step where a second one would be is like any other."""
    stage = with_blocks(plan)
    prune = stage.prunes[0].model_copy(update={"events": stage.prunes[0].events[-1:]})
    stage = stage.model_copy(update={"prunes": (prune,)})
    assert [(e.number, e.step) for e in outline(stage).events] == [(0, 2)]
    steps = [1.0] * outline(stage).steps
    steps[2] = 31.0
    assert fc._training(stage, sum(steps), steps) == stage.steps + 30


def test_every_block_has_events_of_its_own(plan):
    stage = with_blocks(plan)
    first, last = stage.prunes[0].events[0], stage.prunes[0].events[-1]
    one = stage.prunes[0].model_copy(update={"events": (last,)})
    other = stage.prunes[0].model_copy(update={"name": "other", "events": (first, last)})
    stage = stage.model_copy(update={"prunes": (one, other)})
    short = outline(stage)
    assert [(e.block, e.number, e.step) for e in short.events] == [(1, 0, 2), (0, 0, 3), (1, 1, 4)]
    steps = [1.0] * short.steps
    steps[2:5] = [2.0, 21.0, 4.0]
    assert fc._training(stage, sum(steps), steps) == stage.steps + 1 + 20 + 3


def test_steps_of_every_stretch_are_counted_as_its_own(plan):
    """What is frozen at the beginning makes steps shorter, and so does a teacher that is no longer asked."""
    whole = plan()
    stage = whole.stages[1]
    early, late = stage.steps // 4, stage.steps // 2
    segment = {"shape": "constant", "ends": "after"}
    hardness = (
        Segment(start=0.5, end=0.5, first=0, last=late - 1, **segment),
        Segment(start=0.0, end=0.0, first=late, last=stage.steps - 1, **segment),
    )
    term = TermPlan(
        kind="output", output="logits", weight=(Segment(start=1, end=1, first=0, last=stage.steps - 1, **segment),)
    )
    distill = DistillPlan(
        teacher="stage.dense", teacher_ref="stage.dense", terms=(term,), hardness=hardness, temperature=term.weight
    )
    freeze = FreezePlan(name="body", targets=("a",), weights=1, until=early)
    stage = stage.model_copy(update={"prunes": (), "freezes": (freeze,), "distills": (distill,)})
    short = outline(stage)
    assert short.turns == {0: 0, early: 5, late: 8}
    assert [(s.first, s.end, s.steps) for s in short.stretches] == [
        (0, 5, early),
        (5, 8, late - early),
        (8, 11, stage.steps - late),
    ]
    done = shortened(whole.model_copy(update={"stages": (whole.stages[0], stage)})).stages[1]
    assert done.freezes[0].until == 5
    assert [(s.first, s.last, s.start) for s in done.distills[0].hardness] == [
        (0, 4, 0.5),
        (5, 7, 0.5),
        (8, stage.steps - 1, 0.0),
    ]
    steps = [1.0] * 5 + [3.0] * 3 + [2.0] * 3
    expected = early + 3 * (late - early) + 2 * (stage.steps - late)
    assert fc._training(stage, sum(steps), steps) == expected


def test_scores_are_observed_until_the_last_event_only(plan):
    stage = with_blocks(plan)
    prune = stage.prunes[0].model_copy(update={"method": "movement"})
    last = prune.events[-1].step
    short = outline(stage.model_copy(update={"prunes": (prune,)}))
    assert 0 < last < stage.steps and [*short.turns] == [0, last]
    assert short.events[-1].step == short.stretches[1].first  # the last event ends it


def test_layers_of_one_shot_are_counted_on(tmp_path, monkeypatch):
    from tests.decoders import make_decoder, make_text

    monkeypatch.chdir(tmp_path)
    make_decoder(Path("model"), layers=6)
    make_text(Path("train.jsonl"), 40)
    Path("a.recipe").write_text(
        'recipe 1 "shot"\nmodel { base = "model", task = causal_lm }\n'
        'data { train = "train.jsonl", max_length = 16 tokens, samples = 8 samples }\n'
        "stage cut {\n  mode = one_shot\n  prune weights { targets = @linear & @decoder, never = @embeddings | @head, "
        "method = wanda, sparsity = 50% }\n}\n",
        "utf-8",
    )
    whole = planned("a.recipe")[1]
    (stage,) = shortened(whole).stages
    assert {stack_and_layer(t.name) for t in stage.prunes[0].targets} == {("model.layers", n) for n in range(3)}
    assert len(stage.prunes[0].events[0].zeros) == len(stage.prunes[0].targets) == 21
    assert [walked(s.prunes[0]) for s in (whole.stages[0], stage)] == [6, 3]
    walk = fc.Times(walks=[[0.0, 7.0, 9.0, 12.0]])  # the first layer warms up
    assert fc._further_layers(whole.stages[0], stage, walk) == 3 * 2.5
    assert fc._further_layers(stage, stage, walk) == 0
    real: list[fc.Times] = []
    counted = fc.counted_on
    monkeypatch.setattr(fc, "counted_on", lambda *a: (real.append(a[3]["cut"]), counted(*a))[1])
    assert fc.forecast(whole).parts["stage cut"] > 0
    assert [len(walk) for walk in real[0].walks] == [4]


def test_time_inside_is_not_counted_twice(monkeypatch):
    now = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr("recipelang.engine.clock.time.monotonic", lambda: next(now))
    clock = Clock()
    with clock.part("outer"), clock.part("inner"):
        pass
    assert clock.seconds == {"inner": 3.0, "outer": 7.0}
