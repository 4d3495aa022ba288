"""The study on `docs/studies.md` runs as it stands there, on small data, and leaves what the page says."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.command import ROOT, command
from tests.cli.test_study import Inline
from tests.conftest import make_data, make_model


@pytest.fixture
def page(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "studies.md").read_text("utf-8")
    study, recipe, search = re.findall(r"```recipe\n(.*?)```", text, re.DOTALL)
    (tmp_path / "heads.recipe").write_text(study, "utf-8")
    (tmp_path / "search.recipe").write_text(search, "utf-8")
    (tmp_path / "first.recipe").write_text(recipe, "utf-8")
    make_model(tmp_path / "model")
    make_data(tmp_path / "train.json", 44)
    make_data(tmp_path / "dev.json", 20, seed=1)
    monkeypatch.chdir(tmp_path)
    instead = SimpleNamespace(Popen=Inline, DEVNULL=subprocess.DEVNULL, STDOUT=subprocess.STDOUT)
    monkeypatch.setattr("recipelang.study.launch.subprocess", instead)
    return tmp_path


SMALL = ["-p", "base=model", "-p", "train=train.json", "-p", "dev=dev.json"]
SMALL += ["-p", "max_length=32 tokens", "-p", "length=20 steps"]


def test_study_of_the_page_runs_and_leaves_what_it_says(page):
    assert command("validate", "heads.recipe", "first.recipe", "search.recipe").code == 0
    assert command("fmt", "--check", "heads.recipe", "search.recipe").code == 0
    ended = command("study", "heads.recipe", "-o", "out", "--only", "*/target-90/seed-1", *SMALL)
    assert ended.code == 0, ended.err
    report = (page / "out" / "report.html").read_text("utf-8")
    assert "2 of 12 runs finished" in report
    for said in ("protected/target-90/seed-1", "difference from everything", "dev.f1 against target"):
        assert said in report
    for kind in ("recipes/{}.recipe", "runs/{}/run.json", "runs/{}/report.html", "logs/{}.log"):
        assert (page / "out" / kind.format("protected/target-90/seed-1")).is_file()
    links = re.findall(r'href="([^"]+)"', report)
    assert len(links) == 2 and all((page / "out" / link).is_file() for link in links)
    drawn = {p.stem for p in (page / "out" / "plots").glob("*.svg")}
    assert {"dev.f1-against-target", "dev.f1-against-zeros-of-all-parameters"} <= drawn
    assert "dev.f1-difference-from-everything-in-points" in drawn
    report_again = command("study", "heads.recipe", "-o", "out", "--table", *SMALL)
    assert report_again.code == 0 and (page / "out" / "report.html").read_text("utf-8") == report


def test_commands_and_files_of_the_page_exist():
    text = (ROOT / "docs" / "studies.md").read_text("utf-8")
    for path in re.findall(r"\]\(\.\./([^)]+)\)", text):
        assert Path(ROOT, path).is_file()
    help = command("study", "--help").out + command("report", "--help").out
    own = re.sub(r'--launcher "[^"]*"', "--launcher", text)  # without the options of other commands
    for option in set(re.findall(r"(?<=[ `])--[a-z]+", own)):
        assert option in help, option
