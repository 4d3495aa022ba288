"""Jobs of Slurm through submitit: a cluster of shell scripts on PATH stands for one, and submitit's own local executor."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from recipelang.source import RecipeError
from recipelang.study import execute, slurm
from recipelang.study.attempt import Attempt
from recipelang.study.notes import note_of
from recipelang.study.slurm import Slurm, cancel, minutes, read_options
from recipelang.study.work import Work

SBATCH = """n=$(ls "$FAKE"/*.sh 2>/dev/null | wc -l); id=$((17 + n))
if [ -e "$FAKE/refuse" ]; then echo "sbatch: error: invalid partition specified: big" >&2; exit 1; fi
cp "$1" "$FAKE/$id.sh"; echo PENDING > "$FAKE/$id.state"
[ -e "$FAKE/hold" ] || SLURM_JOB_ID=$id setsid sh "$FAKE/go" $id > /dev/null 2>&1 &
echo "Submitted batch job $id"
"""
GO = """echo RUNNING > "$FAKE/$1.state"
if bash "$FAKE/$1.sh"; then echo COMPLETED > "$FAKE/$1.state"; else echo FAILED > "$FAKE/$1.state"; fi
"""
SRUN = """while [ "${1#-}" != "$1" ]; do
  case $1 in --output) out=$2; shift;; --error) err=$2; shift;; esac; shift
done
place() { echo "$1" | sed "s/%j/$SLURM_JOB_ID/; s/%t/0/"; }
exec "$@" >> "$(place "$out")" 2>> "$(place "$err")"
"""
SACCT = """echo "JobID|State|NodeList"
for state in "$FAKE"/*.state; do
  [ -e "$state" ] && echo "$(basename "$state" .state)|$(cat "$state")|node1"
done
exit 0
"""
SQUEUE = """[ -e "$FAKE/down" ] && exit 1
for state in "$FAKE"/*.state; do [ -e "$state" ] && basename "$state" .state; done
exit 0
"""
SCANCEL = 'echo CANCELLED > "$FAKE/$1.state"\n'
BROKEN = "recipe 1\nstage {\n"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What it was asked lies in this folder: the scripts of its jobs, their states. A file `hold` keeps jobs from starting."""
    home = tmp_path / "cluster"
    home.mkdir()
    commands = {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "squeue": SQUEUE, "scancel": SCANCEL}
    for name, script in commands.items():
        (home / name).write_text(f"#!/bin/sh\n{script}", "utf-8")
        (home / name).chmod(0o755)
    (home / "go").write_text(GO, "utf-8")
    monkeypatch.setenv("PATH", f"{home}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(home))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    monkeypatch.setattr(slurm, "_PAUSE", 0.0)
    monkeypatch.setattr(slurm, "_OFTEN", 0.0)
    monkeypatch.setattr(slurm, "_GRACE", 0.3)
    monkeypatch.setattr(slurm, "_LAG", 0.3)
    return home


@pytest.fixture(autouse=True)
def fresh():
    """The watcher of jobs is one for the whole process; it would remember those of the test before."""
    import submitit

    for kind in (submitit.SlurmJob,):
        kind.watcher.clear()
        kind.watcher._registered.clear()


def variant(name: str, text: str = BROKEN):
    return SimpleNamespace(name=name, text=text, plan=SimpleNamespace(rehearsal=None, spec_digest=f"sha256:{64 * '0'}"))


def run(out: Path, *variants, options=None, **more):
    told: list[str] = []
    news = SimpleNamespace(started=lambda v, how: told.append(f"{v.name} {how}"), ended=lambda o: None)
    launcher = Slurm(out, options or {"time": "60"}, **more)
    return execute.run_all(out, variants, news, launcher=launcher), told


def hold(cluster: Path) -> None:
    (cluster / "hold").touch()


def stopped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ctrl-C does when the jobs are submitted."""

    def sleep(seconds: float) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(execute, "time", SimpleNamespace(sleep=sleep))


def finish(out: Path, name: str, status: str = "finished") -> None:
    """What a run leaves."""
    folder = out / "runs" / name
    (folder / "recipe").mkdir(parents=True)
    (folder / "recipe" / "plan.json").write_text("{}", "utf-8")
    digests = {"spec": f"sha256:{64 * '0'}"}
    (folder / "run.json").write_text(json.dumps({"status": status, "digests": digests, "error": ["E082: no"]}), "utf-8")


# ------------------------------------------------------------------------------- options
@pytest.mark.parametrize(
    "option", ["--", "2x=1", "Time=1", "output=x", "ntasks=2", "array=0-3", "wrap=ls", "mem=", "mem=a\nb"]
)
def test_options_that_no_job_can_have_are_refused(option):
    with pytest.raises(RecipeError) as refused:
        read_options([option], [])
    assert [d.code for d in refused.value.diagnostics] == ["E239"]


@pytest.mark.parametrize("time", ["", "x", "1:2:3:4", "-1", "1-", "4h", "0", "0:00", True, None])
def test_times_that_are_none_are_refused(time):
    with pytest.raises(RecipeError) as refused:
        minutes(time)
    assert [d.code for d in refused.value.diagnostics] == ["E239"]


def test_options_come_from_files_and_the_command_line_is_above_them(tmp_path):
    file = tmp_path / "site.recipe"
    file.write_text(
        'recipe 1 "site"\nset partition = "gpu"\nset time = "4:00:00"\nset gpus_per_node = 1\nset exclusive = true\n'
    )
    assert read_options(["time=30", "--requeue"], [str(file)]) == {
        "partition": "gpu", "time": "30", "gpus-per-node": "1", "exclusive": True, "requeue": True,
    }  # fmt: skip
    with pytest.raises(RecipeError):
        read_options(["time=30", "time=40"], [])


# ---------------------------------------------------------------------------------- jobs
def test_a_job_is_submitted_with_its_options_and_what_fails_in_it_is_told(cluster, tmp_path):
    """The whole way: sbatch, srun, submitit in the job, the ordinary command, its log, sacct."""
    out = tmp_path / "o ut"
    options = {"time": "4:00:00", "partition": "gpu", "gpus-per-node": "a100:1", "exclusive": True}
    ran, told = run(out, variant("a/run"), options=options)
    assert told == ["a/run starts as job 17"]
    assert ran.ended["a/run"].status == "failed" and ran.ended["a/run"].error.startswith("E0"), ran.ended
    script = (cluster / "17.sh").read_text("utf-8")
    for line in ("partition=gpu", "gpus-per-node=a100:1", "exclusive", "time=240", "job-name=a-run", "signal=USR2@300"):
        assert f"#SBATCH --{line}\n" in script
    assert "error[E0" in (out / "logs/a/run.log").read_text("utf-8")
    assert not note_of(out, "a/run").exists()


def test_a_stopped_study_leaves_its_jobs_and_the_next_finds_them(cluster, monkeypatch, tmp_path):
    hold(cluster)
    out, names = tmp_path / "out", ("a/run", "b/run")
    with monkeypatch.context() as patched:
        stopped_at_once(patched)
        ran, told = run(out, *map(variant, names))
    assert ran.stopped == signal.SIGINT and not ran.ended
    assert {n: s.job for n, s in ran.left.items()} == {"a/run": "17", "b/run": "18"}
    finish(out, "a/run", "failed")  # meanwhile
    for job in ("17", "18"):
        (cluster / f"{job}.state").write_text("OUT_OF_MEMORY", "utf-8")
    ran, told = run(out, *map(variant, names))
    assert told == ["a/run goes on as job 17", "b/run goes on as job 18"]
    assert ran.ended["a/run"].error == "E082: no"
    assert ran.ended["b/run"].error.startswith("job 18 ended as OUT_OF_MEMORY; Slurm's log is ")
    assert sorted(p.name for p in cluster.glob("*.sh")) == ["17.sh", "18.sh"]


def test_not_more_jobs_than_asked_for_are_in_the_queue(cluster, monkeypatch, tmp_path):
    hold(cluster)
    stopped_at_once(monkeypatch)
    ran, _ = run(tmp_path / "out", variant("a/run"), variant("b/run"), jobs=1)
    assert list(ran.left) == ["a/run"]


def test_a_job_that_nobody_knows_is_given_up(cluster, monkeypatch, tmp_path):
    hold(cluster)
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        stopped_at_once(patched)
        run(out, variant("a/run"))
    (cluster / "17.state").unlink()
    ran, _ = run(out, variant("a/run"))
    assert [d.code for d in ran.found] == ["E241"]
    assert "job 17" in ran.found.errors[0].notes[0]
    assert ran.ended["a/run"].status == "failed"


def test_a_job_of_another_recipe_is_not_taken_for_this_one(cluster, monkeypatch, tmp_path):
    hold(cluster)
    out, other = tmp_path / "out", variant("a/run")
    with monkeypatch.context() as patched:
        stopped_at_once(patched)
        run(out, variant("a/run"))
    other.plan.spec_digest = f"sha256:{64 * '1'}"
    with pytest.raises(RecipeError) as refused:
        run(out, other)
    assert refused.value.diagnostics[0].code == "E102" and "scancel 17" in refused.value.diagnostics[0].help[0]
    cancel(out, "a/run", out / "runs/a/run")
    assert (cluster / "17.state").read_text("utf-8") == "CANCELLED\n" and not note_of(out, "a/run").exists()


def test_a_queue_that_cannot_be_asked_gives_up_nothing(cluster):
    queue = slurm.Queue()
    (cluster / "17.state").write_text("RUNNING", "utf-8")
    assert (queue.holds("17"), queue.holds("18")) == (True, False)
    (cluster / "down").touch()
    assert (queue.holds("17"), queue.holds("18")) == (None, None)


@pytest.mark.parametrize("text", ["", "{}", '{"format_version": "1.0", "job": "1; rm", "spec": ""}', "[1]"])
def test_a_damaged_note_is_told(cluster, tmp_path, text):
    note = note_of(tmp_path, "a/run")
    note.parent.mkdir(parents=True)
    note.write_text(text, "utf-8")
    with pytest.raises(RecipeError) as refused:
        run(tmp_path, variant("a/run"))
    assert refused.value.diagnostics[0].code == "E137"


def test_what_slurm_says_of_a_refused_job_is_told(cluster, tmp_path, capfd):
    (cluster / "refuse").touch()
    with pytest.raises(RecipeError) as refused:
        run(tmp_path, variant("a/run"))
    (told,) = refused.value.diagnostics
    assert (told.code, told.notes) == ("E240", ("sbatch: error: invalid partition specified: big",))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("missing", ["sbatch", "srun", "sacct"])
def test_a_machine_without_slurm_is_told(cluster, monkeypatch, tmp_path, missing):
    (cluster / missing).unlink()
    with pytest.raises(RecipeError) as refused:
        Slurm(tmp_path, {"time": "60"})
    assert refused.value.diagnostics[0].code == "E237" and missing in refused.value.diagnostics[0].message


def test_without_submitit_its_extra_is_named(cluster, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(RecipeError) as refused:
        Slurm(tmp_path, {"time": "60"})
    assert refused.value.diagnostics[0].code == "E144" and "recipelang[slurm]" in refused.value.diagnostics[0].help[0]


def test_submitit_runs_it_on_this_machine_too(cluster, tmp_path):
    """Its local executor: another way to the same call in a job."""
    ran, _ = run(tmp_path, variant("a/run"), cluster="local")
    assert ran.ended["a/run"].status == "failed" and ran.ended["a/run"].error.startswith("E0"), ran.ended


# ------------------------------------------------------------------------------ in a job
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Attempt:
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr(Work, "command", lambda self: ["sh", "-c", script])
    paths = tmp_path / "run", tmp_path / "a.recipe", tmp_path / "logs/a.log", tmp_path
    return Attempt(Work("a/run", *paths))


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("exit 143", 143)])
def test_a_run_that_did_what_it_was_told_ends_its_job_well(tmp_path, monkeypatch, script, code):
    assert job(tmp_path, monkeypatch, script)() == code


def test_a_run_that_fails_fails_its_job(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="exit code 7; its log is"):
        job(tmp_path, monkeypatch, "exit 7")()


def test_a_run_writes_its_checkpoint_when_the_time_is_nearly_up(tmp_path, monkeypatch):
    """Slurm's warning reaches both processes: the run ignores it, and is told to stop by the other, once."""
    script = "trap 'echo checkpoint; exit 143' TERM; echo $$ > pid; while :; do sleep 0.02; done"
    monkeypatch.chdir(tmp_path)
    attempt = job(tmp_path, monkeypatch, script)
    again: list[object] = []
    before = signal.signal(signal.SIGUSR2, lambda *_: again.append(attempt.checkpoint()))

    def warn(*_: object) -> None:
        if attempt.process is None or not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            return
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGUSR2)
        time.sleep(0.1)
        signal.raise_signal(signal.SIGUSR2)

    alarm = signal.signal(signal.SIGALRM, warn)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert attempt() == 143
    finally:
        signal.signal(signal.SIGUSR2, before)
        signal.signal(signal.SIGALRM, alarm)
    assert (tmp_path / "logs/a.log").read_text() == "checkpoint\n"
    (submission,) = again
    assert submission.function is attempt


def test_a_job_that_begins_again_resumes(tmp_path):
    work = Work("a", tmp_path / "run", tmp_path / "r", tmp_path / "l", tmp_path, 5)
    assert work.arguments() == ["run", f"{tmp_path}/r", "-o", f"{tmp_path}/run", "--steps", "5"]
    (tmp_path / "run/recipe").mkdir(parents=True)
    (tmp_path / "run/recipe/plan.json").touch()
    assert work.arguments() == ["resume", f"{tmp_path}/run"]


def test_submitit_does_not_write_to_the_screen(cluster, tmp_path):
    Slurm(tmp_path, {"time": "60"})
    assert not logging.getLogger("submitit").handlers
