"""The real command behind `torchrun`: one speaks, one writes, all end together."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recipelang.engine.records import Interrupted
from tests.cli.command import environment
from tests.forked import Forked, ranks
from tests.train.steps import StopAt, run, weights

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
STILL = ('base = "model"', 'dropout = 0%, attention_dropout = 0%, base = "model"')


def launched(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*LAUNCH, "-m", "recipelang", *map(str, arguments)], env=environment(), **streams)


def checkpoint_in(out: Path, process: subprocess.Popen[str] | Forked) -> None:
    """Wait until the second stage has one."""
    deadline = time.monotonic() + 150
    while not list((out / "checkpoints").glob("stage-01-step-*[1-9]*")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_launcher_that_is_terminated_ends_with_a_checkpoint_that_one_process_goes_on_from(project, tmp_path):
    recipe, out = project(length="8 epochs", replace=STILL), tmp_path / "out"
    process = launched(tmp_path, "run", recipe, "-o", out, "--shard")
    checkpoint_in(out, process)
    process.terminate()
    said, complained = process.communicate(timeout=60)
    assert process.returncode != 0
    assert said.count("sparse: 48 steps") == 1
    assert complained.count("stopped by SIGTERM; nothing is lost") == 1
    assert not (out / "model.safetensors").exists()
    assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
    result = run(recipe, out, resume=True)
    assert not result.failed, result.verdicts
    assert not any(name.startswith("module.") for name in weights(out))


def test_worker_that_is_killed_ends_the_run_with_one_coded_error(project, tmp_path):
    recipe, out = project(length="200 epochs", replace=STILL), tmp_path / "out"
    with ranks("run", recipe, "-o", out) as (left, dies):
        checkpoint_in(out, dies)
        dies.kill()
        _, complained = left.communicate(timeout=60)
    assert dies.poll() == -signal.SIGKILL and left.poll() == 1
    assert complained.count("error[E088]: a process of this run has ended") == 1
    assert "continues from it" in complained and "internal error" not in complained
    with contextlib.suppress(Interrupted):
        run(recipe, out, StopAt(2), resume=True)
        raise AssertionError("nobody stopped")


def test_error_of_all_is_told_once(project, tmp_path):
    recipe = project(
        replace=(
            "batch = 8\n  precision = precision\n  learning_rate = linear(1e-3 -> 0",
            "batch = 1\n  learning_rate = linear(1e-3 -> 0",
        )
    )
    with ranks("run", recipe, "-o", tmp_path / "out") as both:
        complained = "".join(process.communicate(timeout=60)[1] for process in both)
    assert [process.poll() for process in both] == [1, 1]
    assert complained.count("error[E077]: a batch has fewer examples than the run has processes") == 1
    assert complained.count("error[") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", ["run", "resume"])
def test_process_that_sees_another_folder_is_told_by_its_machine(project, tmp_path, words):
    recipe = project(replace=STILL)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    if words == "resume":
        (tmp_path / "first/out/recipe").mkdir(parents=True)
        (tmp_path / "first/out/recipe/effective.recipe").touch()
    arguments = ("run", recipe, "-o", "out") if words == "run" else ("resume", "out")
    impatient = (
        "from recipelang.engine import start; start._PATIENCE = 0.1\nfrom recipelang.cli.main import main; main()"
    )
    with ranks(*arguments, program=impatient, cwd=tmp_path / "first", second=tmp_path / "second") as both:
        ended = [process.communicate(timeout=90) for process in both]
    assert [process.poll() for process in both] == [1, 1]
    complained = "".join(err for _, err in ended)
    assert complained.count("error[E242]") == 1 and "not seen by process 1 on " in complained, complained
    left = [p.name for p in (tmp_path / "first/out").rglob("*") if p.is_file()]
    assert left == (["effective.recipe"] if words == "resume" else [])
