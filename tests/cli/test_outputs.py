"""Where a run writes: never over what it did not make, never half, and `resume` only what is the same run."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .command import command, environment, files, process


def contents(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files(folder)}


def status(folder: str) -> str:
    return json.loads(Path(folder, "run.json").read_text("utf-8"))["status"]


@pytest.fixture
def interrupted(project, stop_at) -> Path:
    """A run stopped in its second stage."""
    stop_at(9)
    assert command("run", "tiny.recipe", "-o", "out").code == 143
    return project / "out"


def test_place_that_cannot_be_written(project):
    # the tests may run as root, whom no permission stops: a folder below a file cannot be made by anyone
    (project / "file").write_text("mine", "utf-8")
    ended = command("run", "tiny.recipe", "-o", "file/out")
    assert (ended.code, ended.codes) == (1, ["E084"])
    assert "cannot write `out`: a part of the path is a file" in ended.err
    assert (project / "file").read_text("utf-8") == "mine"


def test_permission_denied(project, monkeypatch):
    # as root there is no folder to deny; the system's answer is put in its place
    def denied(self, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", denied)
    ended = command("run", "tiny.recipe", "-o", "out")
    assert (ended.code, ended.codes) == (1, ["E084"])
    assert "cannot write `out`: permission is denied" in ended.err
    assert not (project / "out").exists()


def test_name_that_no_file_system_takes(project):
    ended = command("run", "tiny.recipe", "-o", "x" * 300)
    assert (ended.code, ended.codes) == (1, ["E084"])
    assert "the name is too long" in ended.err


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_folder_that_is_no_run_is_never_touched(project, options):
    (project / "thesis").mkdir()
    (project / "thesis" / "chapter").write_text("1", "utf-8")
    (project / "letter").write_text("2", "utf-8")
    for taken in ("thesis", "letter", "."):
        before = contents(project)
        ended = command("run", "tiny.recipe", "-o", taken, *options)
        assert (ended.code, ended.codes) == (1, ["E085"])
        assert ("is a file" if taken == "letter" else "is not empty and holds no run") in ended.err
        assert contents(project) == before


def test_finished_run_is_kept_unless_asked(project):
    (project / "out").mkdir()  # an empty folder is free
    assert command("run", "tiny.recipe", "-o", "out").code == 0
    before = contents(project / "out")
    ended = command("run", "tiny.recipe", "-o", "out")
    assert (ended.code, ended.codes) == (1, ["E085"])
    assert "use `--overwrite` to replace it" in ended.err
    assert "resume" not in ended.err
    assert contents(project / "out") == before
    assert command("run", "tiny.recipe", "-o", "out", "--overwrite", "-p", "target=60%").code == 0
    assert contents(project / "out")["model.safetensors"] != before["model.safetensors"]


def test_interrupted_run_is_kept_and_resume_offered(interrupted):
    before = contents(interrupted)
    ended = command("run", "tiny.recipe", "-o", "out")
    assert (ended.code, ended.codes) == (1, ["E085"])
    assert "`recipelang resume out` to continue it" in ended.err
    assert contents(interrupted) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('base = "model"', 'base = "first"'),
        ("teacher = stage.dense", 'teacher = "first/stages/dense"'),
    ],
)
def test_overwrite_spares_what_the_new_run_reads(project, edit, old, new):
    assert command("run", "tiny.recipe", "-o", "first").code == 0
    before = contents(project / "first")
    ended = command("run", edit(old, new), "-o", "first", "--overwrite")
    assert (ended.code, ended.codes) == (1, ["E085"])
    assert "holds files that this run reads" in ended.err
    assert contents(project / "first") == before
    assert command("run", "tiny.recipe", "-o", "second").code == 0


@pytest.mark.parametrize("name", ["tiny", "../../tiny", "/tiny", "a b/c", "..", "é" * 300, "-o"])
def test_default_folder_lies_in_runs_whatever_the_recipe_is_called(project, edit, name):
    edit('recipe 1 "tiny"', f'recipe 1 "{name}"')
    before = set(project.iterdir())
    assert command("run", "tiny.recipe", "--steps", "1").code == 0
    assert set(project.iterdir()) == {*before, project / "runs", project / "tiny.recipe.lock"}
    (run,) = (project / "runs").iterdir()
    assert (run / "model.safetensors").is_file()
    assert not run.name.startswith((".", "-"))


def test_resume_of_nothing(here):
    (here / "other").mkdir()
    for name in ("nowhere", "other", "tiny.recipe"):
        ended = command("resume", name)
        assert (ended.code, ended.codes) == (1, ["E083"])
        assert "holds no run" in ended.err
    assert files(here) == {"tiny.recipe"}


def test_resume_of_a_finished_run_does_nothing(project):
    assert command("run", "tiny.recipe", "-o", "out").code == 0
    before = contents(project / "out")
    ended = command("resume", "out")
    assert (ended.code, ended.out) == (0, "out: this run is finished\n")
    assert contents(project / "out") == before
    record = project / "out/run.json"
    record.write_text(record.read_text("utf-8").replace('"finished"', '"interrupted"', 1), "utf-8")
    before = contents(project / "out")
    assert command("resume", "out").codes == ["E083"]
    assert contents(project / "out") == before


def test_resume_from_another_folder_finishes_the_run(interrupted, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert status(str(interrupted)) == "interrupted"
    assert command("resume", interrupted).code == 0
    assert status(str(interrupted)) == "finished"
    assert (interrupted / "model.safetensors").is_file()


def model_changed(project: Path) -> None:
    data = bytearray((project / "model" / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (project / "model" / "model.safetensors").write_bytes(data)


def data_changed(project: Path) -> None:
    text = (project / "train.json").read_text("utf-8")
    (project / "train.json").write_text(text.replace('"q1"', '"q1000"'), "utf-8")


def recipe_changed(project: Path) -> None:
    path = project / "out" / "recipe" / "effective.recipe"
    path.write_text(path.read_text("utf-8").replace("batch = 8", "batch = 4"), "utf-8")


def plan_damaged(project: Path) -> None:
    (project / "out" / "recipe" / "plan.json").write_text("{", "utf-8")


def plan_gone(project: Path) -> None:
    (project / "out" / "recipe" / "plan.json").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (model_changed, "what this run would do has changed"),
        (data_changed, "what this run would do has changed"),
        (recipe_changed, "what this run would do has changed"),
        (plan_damaged, "`out/recipe/plan.json` is damaged"),
        (plan_gone, "`out` holds no run"),
    ],
)
def test_resume_of_what_is_no_longer_the_same_run(project, interrupted, change, said):
    change(project)
    before = contents(interrupted)
    ended = command("resume", "out")
    assert (ended.code, ended.codes) == (1, ["E083"])
    assert said in ended.err
    assert "start again with `run --overwrite`" in ended.err
    assert contents(interrupted) == before
    assert command("run", "tiny.recipe", "-o", "out", "--overwrite", "--steps", "1").code == 0


def test_resume_without_the_model(project, interrupted):
    shutil.rmtree(project / "model")
    ended = command("resume", "out")
    assert (ended.code, ended.codes) == (1, ["E076"])
    assert "there is no model folder" in ended.err


def test_resume_without_a_record_goes_on(interrupted):
    (interrupted / "run.json").write_text("[]", "utf-8")
    assert command("resume", "out").code == 0
    assert status("out") == "finished"


def test_stream_that_lacks_a_character_is_no_bug(here):
    (here / "größe.recipe").write_bytes((here / "tiny.recipe").read_bytes())
    with process("validate", "größe.recipe", cwd=here, env=environment(PYTHONIOENCODING="ascii")) as started:
        out, err = started.communicate(timeout=60)
    assert (started.returncode, err) == (0, "")
    assert out.startswith("gr\\xf6\\xdfe.recipe: ok")


def test_standard_output_that_takes_no_more(here):
    with open("/dev/full", "wb") as full, process("explain", "E051", cwd=here, stdout=full) as started:
        _, err = started.communicate(timeout=60)
    assert started.returncode == 1
    assert err.startswith("error[E084]: cannot write to standard output: no space left on device\n")
    assert "ignored" not in err


@pytest.mark.parametrize(("name", "code"), [("tiny.recipe", 0), ("nope.recipe", 1)])
def test_closed_streams_are_no_bug(here, name, code):
    shut = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-m", "recipelang", "validate", name]
    assert subprocess.run(shut, cwd=here, env=environment(), timeout=60).returncode == code


def test_two_processes_do_not_run_in_one_folder(interrupted):
    import fcntl

    before = contents(interrupted)
    other = os.open(interrupted, os.O_RDONLY)  # the folder itself: there is no file whose removal lets another in
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        for arguments in (("resume", "out"), ("run", "tiny.recipe", "-o", "out", "--overwrite")):
            ended = command(*arguments)
            assert (ended.code, ended.codes) == (1, ["E085"])
            assert "another process is using `out`" in ended.err
        assert contents(interrupted) == before
    finally:
        os.close(other)
    assert command("resume", "out").code == 0
    assert not (interrupted / ".lock").exists()


def somebodys_folder(out: Path) -> None:
    out.mkdir()
    (out / "run.json").write_text("{}")
    (out / "thesis.tex").write_text("precious")


def notes_in_a_run(out: Path) -> None:
    (out / "recipe").mkdir(parents=True)
    (out / "recipe" / "plan.json").write_text("{}")
    (out / "notes").mkdir()
    (out / "notes" / "lab.md").write_text("precious")


def linked_checkpoints(out: Path) -> None:
    (out / "recipe").mkdir(parents=True)
    (out / "recipe" / "plan.json").write_text("{}")
    outside = out.parent / "outside" / "stage-00-step-00000001"
    outside.mkdir(parents=True)
    (outside / "model.safetensors").write_text("precious")
    (out / "checkpoints").symlink_to(out.parent / "outside")


@pytest.mark.parametrize("make", [somebodys_folder, notes_in_a_run, linked_checkpoints])
def test_overwrite_deletes_only_what_a_run_wrote(project, tmp_path, make):
    make(tmp_path / "out")
    before = contents(tmp_path)
    ended = command("run", "tiny.recipe", "-o", "out", "--overwrite", "--steps", "1")
    assert ended.codes[-1:] == ["E085"]
    assert "files that no run wrote" in ended.err
    changed = {n for n, data in contents(tmp_path).items() if before.get(n) != data}
    assert changed <= {"tiny.recipe.lock"}
