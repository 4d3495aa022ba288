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
from recipelang.loading.plan import planned
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
    assert {"load", "data", "stage dense", "stage sparse", "evaluate dev", "checkpoints", "export"} == {
        *record["parts"]
    }
    assert record["parts"]["stage dense"] <= record["seconds"]["dense"] + 0.0005  # it is rounded


def test_first_and_last_event_come_early(plan):
    whole = plan()
    short = fc.shortened(whole)
    assert short.stages[1].steps == whole.stages[1].steps > fc.STEPS
    events, every = short.stages[1].prunes[0].events, whole.stages[1].prunes[0].events
    assert [(e.step, e.zeros) for e in events] == [(4, every[0].zeros), (8, every[-1].zeros)]
    assert (short.rehearsal, short.claims, short.evaluations[0].every) == (fc.STEPS, (), {})


def test_a_short_stage_is_run_whole(plan):
    whole = plan("1 epoch")
    assert whole.stages[1].steps < fc.STEPS
    assert fc.shortened(whole).stages == whole.stages


def test_what_is_counted_on(plan):
    whole = plan()
    short = fc.shortened(whole)
    clock = Clock()
    steps = {s.name: [9.0, 5.0, *([1.0] * 10)] for s in whole.stages}
    steps["sparse"][4] = steps["sparse"][8] = 3.0  # events take 2 seconds more
    clock.seconds = Counter({"load": 1, "data": 2, "checkpoints": 6, "export": 1, "end": 2, "evaluate dev": 4})  # type: ignore[assignment]
    clock.seconds |= Counter({f"stage {n}": sum(each) for n, each in steps.items()})
    clock.counts = Counter({"checkpoints": 3, "evaluate dev": 2})
    found = fc.counted_on(whole, short, clock, steps)
    dense, sparse = whole.stages
    events = len({e.step for e in sparse.prunes[0].events})
    assert found.parts["stage dense"] == (dense.steps if dense.steps > fc.STEPS else sum(steps["dense"]))
    assert found.parts["stage sparse"] == sparse.steps + 2 * events
    inside = sum((s.steps - 1) // s.steps_per_epoch for s in whole.stages if s.steps > fc.STEPS)
    assert found.parts["checkpoints"] == 2 * (2 + inside)
    assert found.parts["export"] == 3
    evaluated = fc._examples(whole, whole.evaluations[0]) / fc._measured(whole, whole.evaluations[0])
    assert found.parts["evaluate dev"] == pytest.approx(2 * evaluated * 2)


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
    (stage,) = fc.shortened(whole).stages
    assert {fc._layer(t.name) for t in stage.prunes[0].targets} == {0, 1}
    assert len(stage.prunes[0].events[0].zeros) == len(stage.prunes[0].targets) == 14
    assert fc._share(whole.stages[0], stage) == 3
    assert fc.forecast(whole).parts["stage cut"] > 0


def test_time_inside_is_not_counted_twice(monkeypatch):
    now = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr("recipelang.engine.clock.time.monotonic", lambda: next(now))
    clock = Clock()
    with clock.part("outer"), clock.part("inner"):
        pass
    assert clock.seconds == {"inner": 3.0, "outer": 7.0}
