"""`track`: real clients, on this machine alone, are told what a run's own curves hold; none of them decides anything."""

import json
import os
import sqlite3
from pathlib import Path

import pytest
from accelerate.tracking import MLflowTracker
from safetensors import safe_open

from recipelang.engine.trackers import RECORD, begun, run_name
from recipelang.loading.read import check_all
from recipelang.report.curves import read_curves
from recipelang.source import RecipeError, Source
from recipelang.spec.canonical import behaviour_digest, spec_digest

from .command import command


@pytest.fixture
def tracked(project, edit, monkeypatch):
    """`tiny.recipe` with trackers; clients write below the working folder."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(project / "trackio"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")

    def to(*names: str) -> Path:
        edit("evaluate dev", f'track {{ to = [{", ".join(names)}], project = "tests" }}\nevaluate dev')
        return project

    return to


def runs(folder: Path) -> dict[str, str]:
    return json.loads((folder / RECORD).read_text("utf-8"))["runs"]


def in_mlflow(folder: Path, run: str) -> dict[str, list[tuple[float, float]]]:
    with sqlite3.connect(folder / "mlflow.db") as db:
        rows = db.execute("select key, step, value from metrics where run_uuid = ? order by step", (run,)).fetchall()
    found: dict[str, list[tuple[float, float]]] = {}
    for key, step, value in rows:
        found.setdefault(key, []).append((step, value))
    return found


def weights(folder: Path):
    with safe_open(folder / "model.safetensors", "np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118


def test_mlflow_has_the_curves_and_events_of_the_run(tracked):
    pytest.importorskip("mlflow", reason="`recipelang[trackers]` is not installed")
    folder = tracked("mlflow")
    assert command("run", "tiny.recipe", "-o", "out").code == 0
    curves, found = read_curves(folder / "out/tensorboard"), in_mlflow(folder, runs(folder / "out")["mlflow"])
    assert {"train/loss", "train/learning_rate", "train/sparsity", "dev/f1"} <= set(curves) <= set(found)
    for name, points in curves.items():
        assert dict(found[name]) == pytest.approx(dict(points), rel=1e-6) and len(found[name]) == len(points), name
    assert command("verify", "out").code == 0  # the file with the names of trackers belongs to the run
    assert found["train/stage"] == [(0, 1.0), (6, 2.0)]
    assert [v for _, v in found["prune/weights"]][-1] == pytest.approx(0.9)


def test_a_resumed_run_is_the_same_run_and_no_point_comes_twice(tracked, stop_at):
    pytest.importorskip("mlflow", reason="`recipelang[trackers]` is not installed")
    folder = tracked("mlflow")
    stop_at(12)
    assert command("run", "tiny.recipe", "-o", "out").code == 143
    before = runs(folder / "out")
    assert command("resume", "out").code == 0
    assert runs(folder / "out") == before
    found = in_mlflow(folder, before["mlflow"])
    for name, points in read_curves(folder / "out/tensorboard").items():
        assert dict(found[name]) == pytest.approx(dict(points), rel=1e-6) and len(found[name]) == len(points), name


def test_wandb_works_offline_and_a_resumed_run_keeps_its_name(tracked, stop_at):
    pytest.importorskip("wandb", reason="`recipelang[trackers]` is not installed")
    folder = tracked("wandb", "tensorboard")
    stop_at(12)
    assert command("run", "tiny.recipe", "-o", "out").code == 143
    assert command("resume", "out").code == 0
    run = runs(folder / "out")["wandb"]
    kept = sorted(p for p in (folder / "wandb").glob("offline-run-*") if p.name.endswith(run))
    sizes = [(p / f"run-{run}.wandb").stat().st_size for p in kept]
    assert len(sizes) == 2 and sizes[1] > 500, sizes  # of a client that was stopped on a busy machine little is written
    assert not [p for p in (folder / "wandb").rglob("*") if p.suffix == ".py" or p.name in ("output.log", "diff.patch")]
    curves = read_curves(next((folder / "tensorboard/tests").iterdir()))
    assert curves["train/loss"] == read_curves(folder / "out/tensorboard")["train/loss"]


def test_trackio_has_the_curves(tracked):
    pytest.importorskip("trackio", reason="`recipelang[trackers]` is not installed")
    folder = tracked("trackio")
    assert command("run", "tiny.recipe", "-o", "out").code == 0
    (db,) = (Path(os.environ["TRACKIO_DIR"])).glob("*.db")
    with sqlite3.connect(db) as found:
        rows = found.execute("select step, metrics from metrics").fetchall()
    losses = {step: json.loads(told)["train/loss"] for step, told in rows if "train/loss" in json.loads(told)}
    assert losses == pytest.approx(dict(read_curves(folder / "out/tensorboard")["train/loss"]), rel=1e-6)


def test_a_tracker_changes_no_weight_and_no_digest(tracked, project):
    plain = (project / "tiny.recipe").read_text("utf-8")
    assert command("run", "tiny.recipe", "-o", "plain").code == 0
    folder = tracked("tensorboard")
    recipes = [check_all(Source("a", t), {}).recipe for t in (plain, (folder / "tiny.recipe").read_text("utf-8"))]
    for digest in (spec_digest, behaviour_digest):
        assert digest(recipes[0], {}) == digest(recipes[1], {})
    assert command("run", "tiny.recipe", "-o", "out").code == 0
    assert weights(folder / "out") == weights(folder / "plain")


def test_a_tracker_that_fails_is_told_once_and_stops_nothing(tracked, monkeypatch):
    pytest.importorskip("mlflow", reason="`recipelang[trackers]` is not installed")
    folder, asked = tracked("mlflow"), []

    def full(self, values, step=None, **more):
        asked.append(step)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MLflowTracker, "log", full)
    ended = command("run", "tiny.recipe", "-o", "out")
    assert ended.code == 0 and ended.codes.count("W189") == 1 and len(asked) == 1
    assert (folder / "out/model.safetensors").exists()


def test_settings_of_a_folder_track_every_recipe_below_it(project):
    (project / "recipelang.toml").write_text('[track]\nto = ["tensorboard"]\nproject = "site"\n', "utf-8")
    assert command("run", "tiny.recipe", "-o", "out").code == 0
    assert [p.name for p in (project / "tensorboard").iterdir()] == ["site"]
    text = (project / "tiny.recipe").read_text("utf-8")
    (project / "quiet.recipe").write_text(text.replace("evaluate dev", "track { to = [] }\nevaluate dev"), "utf-8")
    assert command("run", "quiet.recipe", "-o", "quiet").code == 0
    assert not (project / "quiet" / RECORD).exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[track]\nto = "wandb"\n', "`to` must be a list of trackers"),
        ('[track]\nto = ["wanb"]\n', "there is no tracker `wanb`"),
        ('[track]\nproject = "x"\n', "`to` must be a list of trackers"),
        ('[track]\nto = ["tensorboard"]\nkey = "secret"\n', "`[track]` has no setting `key`"),
        ('[track]\nto = ["tensorboard"]\nproject = 3\n', "`project` must be a text"),
        ("track = 3\n", "`track` must be a table"),
        ("[tracks]\n", "`recipelang.toml` has no table `tracks`"),
    ],
)
def test_settings_that_are_wrong_are_told_before_the_run(project, text, told):
    (project / "recipelang.toml").write_text(text, "utf-8")
    ended = command("plan", "tiny.recipe")
    assert set(ended.codes) - {"W101"} == {"E095"} and told in ended.err


def test_a_study_tracks_its_runs_by_the_settings_beside_it(project, edit):
    from recipelang.cli.commands.study import planned
    from recipelang.loading.read import read_around

    (project / "recipelang.toml").write_text('[track]\nto = ["tensorboard"]\n', "utf-8")
    (project / "s.recipe").write_text('recipe 1 "s"\nstudy { of = "./tiny.recipe" }\narm a {}\n', "utf-8")
    _, made = planned("s.recipe", read_around(), None)
    assert all("track {" in v.text for v in made)


def test_a_downloaded_recipe_chooses_no_tracker():
    text = 'recipe 1 "a"\nmodel { base = "m", task = causal_lm }\ntrack { to = [wandb] }\n'
    text += 'data { train = "t.txt" }\nstage s { length = 1 step, batch = 1, learning_rate = 1e-3 }\n'
    theirs = check_all(Source("hf://owner/a#a.recipe", text), {})
    assert theirs.recipe is not None and theirs.recipe.track is None and "W190" in {d.code for d in theirs.diagnostics}
    ours = check_all(Source("a.recipe", text), {})
    assert ours.recipe is not None and ours.recipe.track is not None


@pytest.mark.parametrize(
    "text",
    [
        '{"format_version": "1.0", "project": "p", "runs": {"comet": "x"}}',
        '{"format_version": "1.0", "project": "p", "runs": {"wandb": "a\\nb"}}',
        '{"format_version": "1.0", "project": "", "runs": {}}',
        '{"format_version": "9.0", "project": "p", "runs": {}}',
        '{"format_version": "1.0", "project": "p", "runs": {}, "api_key": "x"}',
        "{",
    ],
)
def test_a_forged_record_of_trackers_is_refused(tmp_path, text):
    (tmp_path / "recipe").mkdir()
    (tmp_path / RECORD).write_text(text, "utf-8")
    with pytest.raises(RecipeError) as caught:
        begun(tmp_path)
    assert [d.code for d in caught.value.diagnostics] == ["E083"]


def test_names_of_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_name(Path("runs/squad-1a2b")) == "squad-1a2b"
    assert run_name(Path("runs/s/runs/arm/seed-1")) == "s/runs/arm/seed-1"
    assert run_name(Path("/elsewhere/x y")) == "x-y"
