"""Faults in the middle of a run: said in one coded line, nothing half-written, and `resume` gives the same bits."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from recipelang.engine import checkpoint, export
from recipelang.engine.event_log import EventLog

from ..forked import Forked, forked
from .command import command, files


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def record(out: Path) -> dict:  # type: ignore[type-arg]
    return json.loads((out / "run.json").read_text("utf-8"))


def checkpoints(out: Path) -> list[str]:
    """Names of the checkpoints, each read to its end; nothing else lies beside them."""
    found = sorted((out / "checkpoints").iterdir())
    for path in found:
        checkpoint.read(path)
    return [p.name for p in found]


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, torch.Tensor]]:
    """What was run once for all tests: name of a recipe -> its weights."""
    return {}


@pytest.fixture
def whole(project: Path, known) -> dict[str, torch.Tensor]:
    """The weights that a run without a fault gives."""
    return once(project, known, "whole")


def once(project: Path, known: dict[str, dict[str, torch.Tensor]], name: str) -> dict[str, torch.Tensor]:
    if name not in known:
        assert command("run", "tiny.recipe", "-o", name).code == 0
        known[name] = weights(project / name)
        shutil.rmtree(project / name)
    return known[name]


def call(monkeypatch, where, name, at, before):
    """Do something before the call number `at` of a function."""
    real, calls = getattr(where, name), [0]

    def counted(*arguments, **options):
        calls[0] += 1
        if calls[0] == at:
            before()
        return real(*arguments, **options)

    monkeypatch.setattr(where, name, counted)


# ------------------------------------------------------------------ no room left
@pytest.fixture
def small_files():
    """No file may grow beyond 20 kB from the call on: the weights do not fit."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize(
    ("where", "name", "at", "left"),
    [
        (checkpoint, "begin", 1, []),
        (checkpoint, "begin", 2, ["stage-01-step-00000000"]),
        (checkpoint, "begin", 3, ["stage-01-step-00000000", "stage-01-step-00000006"]),
        (export, "save_model", 1, []),
        (export, "save_model", 2, ["stage-01-step-00000006", "stage-02-step-00000000"]),
    ],
)
def test_write_that_fails_leaves_what_was_there_and_resume_completes(
    project, whole, monkeypatch, small_files, where, name, at, left
):
    with monkeypatch.context() as patch:
        call(patch, where, name, at, small_files)
        ended = command("run", "tiny.recipe", "-o", "out")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    out = project / "out"
    assert (ended.code, ended.codes) == (1, ["E084"])
    assert "the file would exceed the file size limit" in ended.err
    assert not (out / "model.safetensors").exists()
    assert not [name for name in files(out) if ".tmp" in name]
    assert record(out)["status"] == "failed"
    if left:
        assert checkpoints(out) == left
        assert f"the last good checkpoint is `{left[-1]}`; `recipelang resume out` continues" in ended.err
    assert command("resume", "out").code == 0
    assert same(weights(out), whole)


@pytest.fixture
def small_disk(project: Path):
    disk = project / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if made.returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


# before the second checkpoint; in the middle of an epoch, so that the curves fail first; before the export
@pytest.mark.parametrize(
    ("where", "name", "at"), [(checkpoint, "begin", 2), (EventLog, "add", 3), (export, "save_model", 2)]
)
def test_full_disk_is_told_and_resume_completes_once_there_is_room(
    project, whole, small_disk, monkeypatch, where, name, at
):
    def fill() -> None:
        with open(small_disk / "filler", "wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(b"x" * 4096)

    with monkeypatch.context() as patch:
        call(patch, where, name, at, fill)
        ended = command("run", "tiny.recipe", "-o", "disk/out")
    out = small_disk / "out"
    assert (ended.code, ended.codes) == (1, ["E084"])
    assert "the disk is full" in ended.err
    assert "free some space" in ended.err
    assert not (out / "model.safetensors").exists()
    assert checkpoints(out)
    (small_disk / "filler").unlink()
    assert command("resume", "disk/out").code == 0
    assert same(weights(out), whole)


# --------------------------------------------------------------- training itself
def test_loss_that_is_not_finite_stops_the_run(project, edit):
    edit("learning_rate = linear(1e-3 -> 1e-4, over = start..end, rewind = 1 epoch)", "learning_rate = 1e30")
    ended = command("run", "tiny.recipe", "-o", "out")
    assert (ended.code, ended.codes) == (1, ["E082"])
    assert re.search(r"the loss is (nan|inf) at step \d+ of stage `sparse`", ended.err)
    assert "the last good checkpoint is `stage-01-step-00000000`" in ended.err
    assert checkpoints(project / "out") == ["stage-01-step-00000000"]
    assert record(project / "out")["status"] == "failed"
    assert not (project / "out" / "model.safetensors").exists()


def test_loss_that_is_not_finite_before_any_checkpoint(project, edit):
    edit("linear(1e-3 -> 0, over = start..end)", "1e30")
    ended = command("run", "tiny.recipe", "-o", "out")
    assert (ended.code, ended.codes) == (1, ["E082"])
    assert "stage `dense`" in ended.err
    assert "checkpoint is" not in ended.err


def no_room_on_a_device():
    raise torch.OutOfMemoryError("no room")


def no_room_on_a_cpu():
    torch.empty(10**13)


@pytest.mark.parametrize("allocate", [no_room_on_a_device, no_room_on_a_cpu])
def test_out_of_memory(project, monkeypatch, allocate):
    def full(*arguments, **options):
        allocate()

    with monkeypatch.context() as patch:
        patch.setattr("recipelang.engine.stages.train", full)
        ended = command("run", "tiny.recipe", "-o", "out")
    assert (ended.code, ended.codes) == (1, ["E081"])
    assert "set `micro_batch` of stage `dense` below 8" in ended.err
    assert record(project / "out")["status"] == "failed"
    with monkeypatch.context() as patch:
        patch.setattr("transformers.AutoModelForQuestionAnswering.from_pretrained", full)
        assert command("resume", "out").codes == ["E081"]


def test_failed_expectation_keeps_weights_and_record(project, edit):
    ended = command("run", edit("prefer dev.f1 >= 0%", 'expect dev.f1 >= 101%, "too good"'), "-o", "out")
    assert (ended.code, ended.codes) == (3, ["E090"])
    assert "= note: too good" in ended.err
    out = project / "out"
    assert (out / "model.safetensors").is_file()
    assert "`expect dev.f1 >= 101%`" in (out / "README.md").read_text("utf-8")
    assert record(out)["status"] == "finished"
    assert [c["met"] for c in record(out)["claims"]] == [True, True, False]


def test_preference_that_is_not_met_is_a_warning(project, edit):
    ended = command("run", edit("prefer dev.f1 >= 0%", "prefer dev.f1 >= 101%"), "-o", "out")
    assert ended.code == 0
    assert len(ended.codes) == 1


# -------------------------------------------------------------------- our faults
def test_bug_of_ours_is_one_line_and_a_report(project, whole, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("a wheel came off\nand rolled away")

    monkeypatch.setattr(tempfile, "tempdir", str(project))
    with monkeypatch.context() as patch:
        patch.setattr("recipelang.engine.course.evaluate", broken)
        ended = command("run", "tiny.recipe", "-o", "out")
    assert ended.code == 101
    line = re.fullmatch(
        r"recipelang: internal error: RuntimeError: a wheel came off \(a report is in (.*)\)\n", ended.err
    )
    assert line
    report = Path(line[1]).read_text("utf-8")
    assert "Traceback (most recent call last)" in report
    assert "and rolled away" in report
    assert "arguments: run tiny.recipe -o out" in report
    assert record(project / "out")["status"] == "failed"
    assert command("resume", "out").code == 0
    assert same(weights(project / "out"), whole)


def test_bug_of_ours_without_a_place_for_the_report(here, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError

    monkeypatch.setattr(tempfile, "tempdir", str(here / "nowhere"))
    monkeypatch.setattr("recipelang.loading.read.check", broken)
    ended = command("plan", "tiny.recipe")
    assert (ended.code, ended.err) == (101, "recipelang: internal error: RuntimeError:  (no report could be written)\n")


# ----------------------------------------------------------------------- signals
def test_ctrl_c_before_the_run_is_exit_130(here, monkeypatch):
    def pressed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("recipelang.loading.read.check", pressed)
    ended = command("plan", "tiny.recipe")
    assert (ended.code, ended.err) == (130, "")


@pytest.fixture
def long(project: Path, edit) -> Path:
    """A recipe long enough to be caught in the middle."""
    edit("length = 2 epochs", "length = 20 epochs")
    edit("rewind = 1 epoch), checkpoint_every = 1 epoch", "rewind = 1 epoch), checkpoint_every = 5 epochs")
    return project


@pytest.fixture
def expected(long: Path, known) -> dict[str, torch.Tensor]:
    """The weights of the long recipe."""
    return once(long, known, "long")


def under_way(started: Forked) -> None:
    """Wait until the second stage takes steps."""
    assert started.stdout
    lines = iter(started.stdout.readline, "")
    assert any(line.startswith("sparse:") for line in lines)
    assert "step" in next(lines)


TWICE = """
import sys
from recipelang.cli.main import main

try:
    main()
except SystemExit as stopped:
    print("exit", stopped.code, file=sys.stderr, flush=True)
sys.argv[1:] = ["resume", "my out"]
main()
"""


def test_signal_is_answered_by_a_checkpoint_and_the_command_to_go_on(long, expected):
    with forked("run", "tiny.recipe", "-o", "my out", cwd=long, program=TWICE) as started:
        under_way(started)
        started.send_signal(signal.SIGINT)
        under_way(started)
        started.send_signal(signal.SIGTERM)
        _, err = started.communicate(timeout=60)
    go_on = "; nothing is lost. Resume with:\n\n  recipelang resume 'my out'\n"
    heard = "\nstopping once the current step, batch or layer is done; {} again stops at once\n"
    ended = [
        f"{heard.format('Ctrl-C')}\nstopped by SIGINT{go_on}",
        f"{heard.format('the signal')}\nstopped by SIGTERM{go_on}",
    ]
    assert err == "exit 130\n".join(ended)
    assert started.returncode == 143
    out = long / "my out"
    assert record(out)["status"] == "interrupted"
    assert not (out / "model.safetensors").exists()
    assert checkpoints(out)
    assert command("resume", "my out").code == 0
    assert same(weights(out), expected)


SLOW = """
import time
from recipelang.cli.main import main
from recipelang.engine import checkpoint, interrupt

save, note, received = checkpoint.save, interrupt.StopRequests._note, []

def slow(*arguments):
    if received:
        print("saving", flush=True)
        time.sleep(120)
    return save(*arguments)

def noted(self, number, frame):
    received.append(number)
    note(self, number, frame)

checkpoint.save, interrupt.StopRequests._note = slow, noted
main()
"""


def test_second_signal_stops_at_once_and_the_checkpoint_before_is_good(long, expected):
    with forked("run", "tiny.recipe", "-o", "out", cwd=long, program=SLOW) as started:
        under_way(started)
        started.send_signal(signal.SIGINT)
        assert started.stdout
        assert any(line == "saving\n" for line in iter(started.stdout.readline, ""))
        sent = time.monotonic()
        started.send_signal(signal.SIGINT)
        started.communicate(timeout=60)
    assert started.returncode == 130
    assert time.monotonic() - sent < 30
    assert checkpoints(long / "out")
    assert command("resume", "out").code == 0
    assert same(weights(long / "out"), expected)


def test_run_stopped_in_this_process_keeps_its_handlers(project, stop_at):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stop_at(2, signal.SIGINT)
    assert command("run", "tiny.recipe", "-o", "out").code == 130
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert os.path.isdir("out/checkpoints/stage-00-step-00000002")
