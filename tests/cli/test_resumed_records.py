"""What a run's folder says of its recipe is judged when the run goes on, and what was edited is told."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recipelang.engine.records import Interrupted
from recipelang.modifiers.modifier import Modifier
from recipelang.planning.types import StagePlan
from tests.cli.command import command
from tests.train.steps import also_acting


@pytest.fixture(scope="module")
def begun(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped before its first checkpoint; tests change copies of its records."""
    here = tmp_path_factory.mktemp("begun")
    shutil.copytree(tiny, here, dirs_exist_ok=True)
    from tests.conftest import RECIPE

    (here / "tiny.recipe").write_text(RECIPE.format(length="2 steps", extra=""), "utf-8")
    before = Path.cwd()
    os.chdir(here)
    with pytest.MonkeyPatch.context() as patched:
        also_acting(patched, _stopped)
        assert command("run", "tiny.recipe", "-o", "out").code == 143
    os.chdir(before)
    return here / "out"


def _stopped(stage: StagePlan) -> Modifier:
    raise Interrupted(15, Path("out") / "checkpoints")


@pytest.fixture
def out(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder, to be resumed; that stops where the first start did."""
    also_acting(monkeypatch, _stopped)
    return Path(shutil.copytree(begun, tmp_path / "out"))


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda out: (out / "recipe" / name).write_text(text, "utf-8")


def changed(name: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(out: Path) -> None:
        body = json.loads((out / "recipe" / name).read_text("utf-8"))
        change(body)
        (out / "recipe" / name).write_text(json.dumps(body), "utf-8")

    return apply


DAMAGED: dict[str, Callable[[Path], object]] = {
    "origin is no JSON": written("origin.json", "{"),
    "origin is a list": written("origin.json", "[]"),
    "origin is empty": written("origin.json", "{}"),
    "a digest is a number": changed("origin.json", lambda b: b.update(contents={"model": 1})),
    "the licence is a list": changed("origin.json", lambda b: b.update(license=["MIT"])),
    "no references": changed("origin.json", lambda b: b.pop("references")),
    "more than there is": changed("origin.json", lambda b: b.update(certified="yes")),
    "origin is a folder": lambda out: ((out / "recipe/origin.json").unlink(), (out / "recipe/origin.json").mkdir()),
    "origin is a link": lambda out: ((out / "recipe/origin.json").rename(out / "x"), (out / "recipe/origin.json").symlink_to(out / "x")),
    "other contents": changed("origin.json", lambda b: b.update(contents=dict.fromkeys(b["contents"], "sha256:" + 64 * "0"))),
    "another form": changed("spec.json", lambda b: b.update(seed="7")),
    "form is not UTF-8": lambda out: (out / "recipe/spec.json").write_bytes(b"\xff"),
    "another recipe": lambda out: (out / "recipe/portable.recipe").write_text((out / "recipe/portable.recipe").read_text("utf-8").replace("batch = 8", "batch = 4"), "utf-8"),
    "no recipe": written("portable.recipe", "hello"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_records_of_another_recipe_end_a_resume_before_anything_is_written(name, out):
    DAMAGED[name](out)
    before = (out / "run.json").read_bytes()
    ended = command("resume", str(out))
    assert ended.code == 1 and set(ended.codes) & {"E083", "E139"}, ended.err
    assert (out / "run.json").read_bytes() == before


@pytest.mark.parametrize("name", ["origin.json", "spec.json", "portable.recipe"])
def test_records_that_are_missing_are_written_again(name, out, begun):
    (out / "recipe" / name).unlink()
    assert command("resume", str(out)).code == 143
    new = (out / "recipe" / name).read_text("utf-8")
    if name != "origin.json":  # the names first typed are lost with it
        assert new == (begun / "recipe" / name).read_text("utf-8")
    assert command("resume", str(out)).code == 143


def test_claims_that_were_edited_before_the_first_checkpoint_are_told_and_recorded(out):
    path = out / "recipe" / "effective.recipe"
    path.write_text(path.read_text("utf-8") + "\nexpect dev.f1 >= 1%\n", "utf-8")
    ended = command("resume", str(out))
    assert (ended.code, ended.codes) == (143, ["W177"])
    assert "now: expect dev.f1 >= 1%" in ended.err
    before, now = json.loads((out / "run.json").read_text("utf-8"))["sessions"]
    assert "expect dev.f1 >= 1%" in set(now["claims"]) - set(before["claims"])
    again = command("resume", str(out))
    assert (again.code, again.codes) == (143, [])


def test_a_finished_rehearsal_says_how_the_whole_recipe_is_run(begun, tmp_path, monkeypatch):
    monkeypatch.chdir(begun.parent)
    short = tmp_path / "short"
    assert command("run", "tiny.recipe", "-o", str(short), "--steps", "1").code == 0
    ended = command("resume", str(short))
    assert ended.code == 0
    assert "this rehearsal is finished" in ended.out and "the first step of every stage" in ended.out
    line = next(line for line in ended.out.splitlines() if "recipelang run" in line)
    assert "effective.recipe" in line and "--steps" not in line
