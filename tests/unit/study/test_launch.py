"""How runs of a study are started: what their processes are given, and what becomes of those that others hold."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from recipelang.engine.files import only_one
from recipelang.source import RecipeError
from recipelang.storage.writing import write_json
from recipelang.study import devices as devices_module, execute
from recipelang.study.devices import Shared, devices
from recipelang.study.launch import Local, Template, filled
from recipelang.study.notes import NoteForm, note_of
from recipelang.study.work import Work


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch):
    """As many GPUs as are asked for; only those that the variable names count, as for torch."""
    for name in ("CUDA_VISIBLE_DEVICES", "ACCELERATE_TORCH_DEVICE", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)

    def there(many: int) -> None:
        def count() -> int:
            named = os.environ.get("CUDA_VISIBLE_DEVICES")
            return many if named is None else min(many, len(list(filter(None, named.split(",")))))

        monkeypatch.setattr(devices_module.torch.cuda, "device_count", count)

    there(0)
    return there


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What stands in for Python: a script that is given the words of a run."""

    def make(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return make


def variant(name: str):
    return SimpleNamespace(name=name, text="recipe 1\n", plan=SimpleNamespace(rehearsal=None, spec_digest="sha256:0"))


def run(out: Path, *names: str, launcher=None):
    told: list[str] = []
    news = SimpleNamespace(started=lambda v, how: told.append(f"{v.name} {how}"), ended=lambda o: None)
    ran = execute.run_all(out, [variant(n) for n in names], news, launcher=launcher)
    return ran, told


@pytest.mark.parametrize(
    ("many", "visible", "found"),
    [
        (0, None, []),
        (3, None, ["0", "1", "2"]),
        (4, "2,3", ["2", "3"]),
        (4, " GPU-8f, MIG-1/2 ", ["GPU-8f", "MIG-1/2"]),
        (4, "", []),
        (1, "0,7", ["0"]),
    ],
)
def test_gpus_are_those_that_the_user_lets_be_seen(gpus, monkeypatch, many, visible, found):
    gpus(many)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices() == found


@pytest.mark.parametrize(("name", "value"), [("ACCELERATE_TORCH_DEVICE", "cuda:1"), ("ACCELERATE_USE_CPU", "true")])
def test_who_names_the_device_keeps_it(gpus, monkeypatch, name, value):
    gpus(2)
    monkeypatch.setenv(name, value)
    assert devices() == [] and Local().jobs == 1


def test_a_run_goes_where_fewest_are():
    shared = Shared(["5", "6"])
    assert [shared.take() for _ in range(3)] == ["5", "6", "5"]
    shared.give_back("6")
    assert shared.take() == "6"
    assert Shared([]).take() == ""


def test_every_process_sees_a_gpu_of_its_own(gpus, python, tmp_path):
    """The two processes wait for each other, so that they do run at once."""
    gpus(2)
    python(
        'echo "$CUDA_VISIBLE_DEVICES" > "$4.gpu"; while [ $(ls "$(dirname "$4")"/*.gpu | wc -l) -lt 2 ]; do sleep 0.02; done'
    )
    ran, told = run(tmp_path / "out", "a", "b")
    assert set(ran.ended) == {"a", "b"}
    assert told == ["a starts on GPU 0", "b starts on GPU 1"]
    assert [(tmp_path / f"out/recipes/{n}.recipe.gpu").read_text("utf-8") for n in "ab"] == ["0\n", "1\n"]


@pytest.mark.parametrize("visible", [None, "", "0"])
def test_without_gpus_the_environment_is_what_it_was(gpus, python, monkeypatch, tmp_path, visible):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    python('echo "${CUDA_VISIBLE_DEVICES-unset}" > "$4.gpu"')
    _, told = run(tmp_path / "out", "a")
    assert told == ["a starts"]
    assert (tmp_path / "out/recipes/a.recipe.gpu").read_text("utf-8") == f"{'unset' if visible is None else visible}\n"


def test_a_gpu_is_given_back(gpus, python, tmp_path):
    gpus(1)
    python("exit 7")
    ran, told = run(tmp_path / "out", "a", "b")
    assert told == ["a starts on GPU 0", "b starts on GPU 0"]
    assert {o.error for o in ran.ended.values()} == {"ended with exit code 7"}


# ---------------------------------------------------------------------- a command of the user's
WORK = Work("a b/run", Path("/f o"), Path("/r"), Path("/l"), Path("/"), 3)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("srun --job-name={name} {command}", ["srun", "--job-name=a b-run", "PY", "-m", "recipelang", *["run", "/r", "-o"], "/f o", "--steps", "3"]),
        ("ssh 'gpu 1' {line}", ["ssh", "gpu 1", "PY -m recipelang run /r -o '/f o' --steps 3"]),
        ("docker run x recipelang {arguments}", ["docker", "run", "x", "recipelang", "run", "/r", "-o", "/f o", "--steps", "3"]),
        ("sbatch --wait -o {log} --wrap={line} $HOME;`", ["sbatch", "--wait", "-o", "/l", "--wrap=PY -m recipelang run /r -o '/f o' --steps 3", "$HOME;`"]),
    ],
)  # fmt: skip
def test_a_template_is_filled_argument_by_argument(monkeypatch, template, words):
    monkeypatch.setattr("recipelang.study.launch.shutil.which", lambda name: name)
    monkeypatch.setattr(sys, "executable", "PY")
    assert filled(Template(template).words, WORK) == words


@pytest.mark.parametrize(
    "template", ["", "  ", "env", "env {command", "env {}", "env {command} {line}", "env x{arguments}", "env {cmd}", "env '{command}"]
)  # fmt: skip
def test_a_template_that_starts_nothing_is_refused(template):
    with pytest.raises(RecipeError) as refused:
        Template(template)
    assert [d.code for d in refused.value.diagnostics] == ["E238"]


def test_a_template_runs_the_command_with_absolute_paths(gpus, python, monkeypatch, tmp_path):
    gpus(2)  # of this machine; the run may be on another
    monkeypatch.chdir(tmp_path)
    python('printf "%s|" "$MORE" "${CUDA_VISIBLE_DEVICES-unset}" "$@"; exit 7')
    ran, told = run(Path("out"), "a/run", launcher=Template("env MORE='1 2' {command}"))
    assert told == ["a/run starts"]
    out = tmp_path / "out"
    said = (out / "logs/a/run.log").read_text("utf-8").split("|")
    assert said[:-1] == [
        "1 2",
        "unset",
        "-m",
        "recipelang",
        "run",
        f"{out}/recipes/a/run.recipe",
        "-o",
        f"{out}/runs/a/run",
    ]
    assert ran.ended["a/run"].error == "ended with exit code 7"


def test_a_command_that_does_not_wait_is_told(gpus, tmp_path):
    ran, _ = run(tmp_path, "a", launcher=Template("true {command}"))
    assert [d.code for d in ran.found] == ["E241"]
    assert ran.ended["a"].status == "failed" and ran.ended["a"].error.startswith("E241: ")


# --------------------------------------------------------------------------- runs that others hold
def test_a_run_that_is_still_running_is_waited_for_and_then_continued(gpus, python, monkeypatch, tmp_path):
    """Its study was killed; when its folder is free and there is no result, it is started again."""
    python("exit 7")
    holder = only_one(tmp_path / "runs/a")
    holder.__enter__()
    looks: list[bool] = []

    def free(folder: Path) -> bool:
        looks.append(True)
        if len(looks) == 3:
            holder.__exit__(None, None, None)
        return taken(folder)

    taken = execute.is_taken
    monkeypatch.setattr("recipelang.study.launch._PATIENCE", 0.0)
    monkeypatch.setattr("recipelang.study.launch.is_taken", free)
    ran, told = run(tmp_path, "a")
    assert told == ["a goes on in another process", "a starts"] and len(looks) >= 3
    assert ran.ended["a"].error == "ended with exit code 7"


def test_a_stopped_study_leaves_what_others_run(gpus, python, monkeypatch, tmp_path):
    with only_one(tmp_path / "runs/a"):
        monkeypatch.setattr(execute.Stop, "__enter__", lambda self: self)
        monkeypatch.setattr(execute.Stop, "__exit__", lambda *_: None)
        looked = execute.time.sleep

        def stop(seconds: float) -> None:
            raise_in[0].received = 2
            looked(0)

        raise_in: list[execute.Stop] = []
        made = execute.Stop.__init__
        monkeypatch.setattr(execute.Stop, "__init__", lambda self: (made(self), raise_in.append(self))[0])
        monkeypatch.setattr(execute.time, "sleep", stop)
        ran, _ = run(tmp_path, "a")
    assert (ran.stopped, list(ran.left), ran.ended) == (2, ["a"], {})


@pytest.mark.parametrize("launcher", [Local, lambda: Template("env {command}")])
def test_what_is_a_job_of_a_cluster_is_not_started_here_too(gpus, tmp_path, launcher):
    note = NoteForm(job="17", spec="")
    write_json(note_of(tmp_path, "a"), note.model_dump(), inside=tmp_path)
    with pytest.raises(RecipeError) as refused:
        run(tmp_path, "a", launcher=launcher())
    assert [d.code for d in refused.value.diagnostics] == ["E085"]
