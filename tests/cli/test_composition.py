"""Recipes of several files as a user has them: in folders, with overlays, from the library."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.command import command


@pytest.fixture
def folders(project: Path, monkeypatch) -> Path:
    """`site/base.recipe` with `model` and data beside it, and a child in the folder above."""
    site = project / "site"
    site.mkdir()
    for name in ("model", "train.json", "dev.json"):
        (project / name).rename(site / name)
    (project / "tiny.recipe").rename(site / "base.recipe")
    (project / "child.recipe").write_text('recipe 1 "child"\nextends "site/base.recipe"\nset target = 80%\n', "utf-8")
    monkeypatch.chdir(project)
    return project


def plan(*arguments: str) -> dict:
    ended = command("plan", *arguments, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_paths_of_a_base_start_at_the_base(folders):
    made = plan("child.recipe")
    assert made["model"]["path"] == str((folders / "site" / "model").resolve())
    assert made["spec_digest"] == plan("site/base.recipe", "-p", "target=80%")["spec_digest"]


def test_a_run_of_two_files_leaves_one_recipe_that_is_the_same_run(folders):
    ended = command("run", "child.recipe", "-o", "out", "--steps", "1")
    assert ended.code in (0, 3), ended.err
    text = (folders / "out" / "recipe" / "effective.recipe").read_text("utf-8")
    assert "extends" not in text
    assert plan("out/recipe/effective.recipe")["spec_digest"] == plan("child.recipe")["spec_digest"]


def test_overlay_and_parameters_come_from_files(folders):
    (folders / "gpu.recipe").write_text('recipe 1 "gpu"\npatch stage sparse { micro_batch = 4 }\n', "utf-8")
    (folders / "mine.recipe").write_text('recipe 1 "mine"\nset target = 70%\n', "utf-8")
    layered = plan("site/base.recipe", "--overlay", "gpu.recipe", "--params", "mine.recipe")
    assert layered["spec_digest"] == plan("site/base.recipe", "-p", "target=70%")["spec_digest"]
    assert layered["stages"][-1]["micro_batch"] == 4
    above = plan("site/base.recipe", "--params", "mine.recipe", "-p", "target=60%")
    assert above["spec_digest"] == plan("site/base.recipe", "-p", "target=60%")["spec_digest"]


def test_a_reference_leaves_its_folder_only_below_a_settings_file(folders):
    inner = folders / "inner"
    inner.mkdir()
    (inner / "child.recipe").write_text('recipe 1 "child"\nextends "../site/base.recipe"\n', "utf-8")
    refused = command("validate", "inner/child.recipe")
    assert (refused.code, "error[E045]" in refused.err) == (1, True)
    (folders / "recipelang.toml").write_text("", "utf-8")
    assert command("validate", "inner/child.recipe").code == 0


@pytest.mark.parametrize("way", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_below_the_folder_is_refused(folders, tmp_path_factory, way):
    import os

    if way == "link":
        outside = tmp_path_factory.mktemp("elsewhere") / "secret.recipe"
        outside.write_text('recipe 1 "secret"\n', "utf-8")
        (folders / "other.recipe").symlink_to(outside)
    elif way == "pipe":
        os.mkfifo(folders / "other.recipe")
    else:
        (folders / "other.recipe").mkdir()
    (folders / "a.recipe").write_text('recipe 1 "a"\nextends "other.recipe"\n', "utf-8")
    ended = command("validate", "a.recipe")
    assert ended.code == 1
    assert re.search(r"error\[(E045|E046)\]", ended.err)


def test_recipes_of_the_library_are_named_by_lib(here):
    assert command("validate", "lib://squad/gmp-90").code == 0
    (here / "a.recipe").write_text('recipe 1 "a"\nextends "lib://squad/gmp-90"\nset target = 97%\n', "utf-8")
    assert command("validate", "a.recipe").code == 0
    ended = command("validate", "lib://gmp-90")
    assert "did you mean `lib://squad/gmp-90`?" in ended.err


def test_trace_shows_every_place(folders):
    ended = command("trace", "child.recipe", "stage.sparse.prune.weights.sparsity")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].startswith("stage.sparse.prune.weights.sparsity = cubic(50% -> 80%")
    assert re.match(r"  site/base.recipe:\d+  sparsity = cubic\(50% -> target", lines[1])
    assert [" ".join(line.split()) for line in lines[2:]] == [
        "target = 80%",
        "site/base.recipe:6 param target: ratio in 50%..99% = 90% (replaced)",
        "child.recipe:3 set target = 80%",
    ]


def test_trace_of_everything_and_of_nothing(folders):
    every = command("trace", "child.recipe").out.splitlines()
    assert any(re.match(r"target = 80% +# child.recipe:3", line) for line in every)
    assert any(re.match(r"stage.sparse.clip = 1 +# the language's default", line) for line in every)
    ended = command("trace", "child.recipe", "stage.sparse.clp")
    assert (ended.code, "did you mean `stage.sparse.clip`?" in ended.err) == (1, True)


@pytest.mark.parametrize(("text", "code"), [("", "E010"), ('recipe 1 "empty"\n', "E053")])
def test_trace_of_a_recipe_without_values_says_what_is_wrong_and_lists_nothing(text, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.recipe").write_text(text, "utf-8")
    ended = command("trace", "empty.recipe")
    assert (ended.code, ended.out, f"error[{code}]" in ended.err) == (1, "", True)


def test_trace_names_the_option_that_gave_a_value(folders):
    ended = command("trace", "site/base.recipe", "target", "-p", "target=75%")
    assert ended.out.splitlines()[-1].split() == ["command", "line", "-p", "target=75%"]


def test_a_file_of_values_only_is_a_library_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    meta = 'meta { license = "MIT", authors = ["A. Person"] }\n'
    (tmp_path / "values.recipe").write_text(f'recipe 1 "values"\n{meta}let warm = 2 epochs\n', "utf-8")
    assert command("validate", "values.recipe").out == "values.recipe: ok, a library of values for other recipes\n"
    assert command("lint", "values.recipe").codes == []
    assert command("plan", "values.recipe").codes == ["E053", "E053"]
    (tmp_path / "values.recipe").write_text(f'recipe 1 "values"\n{meta}', "utf-8")
    assert command("validate", "values.recipe").codes == ["E053", "E053"]
