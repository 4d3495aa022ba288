"""What a repository's CI is offered: hooks, and the steps of the action, run by a shell."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from recipelang.cli.main import COMMANDS
from tests.cli.command import ROOT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
GOOD = (ROOT / "recipes" / "quickstart.recipe").read_text("utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "recipelang"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m recipelang "$@"\n')
    script.chmod(0o755)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "good.recipe").write_text(GOOD)
    return tmp_path


def _steps(repository: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The last step of the action, with the inputs that it would have."""
    step = ACTION["runs"]["steps"][-1]
    values = {name: str(about["default"]) for name, about in ACTION["inputs"].items()} | inputs
    given = {
        name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda m: values[m[1]], text) for name, text in step["env"].items()
    }
    env = {**os.environ, **given, "PATH": f"{repository / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]], cwd=repository, env=env, capture_output=True, text=True
    )


def test_the_action_passes_and_fails_as_the_command(repository: Path):
    assert _steps(repository).returncode == 0
    (repository / "bad.recipe").write_text(GOOD.replace("cubic(", "cubc("))
    ended = _steps(repository)
    assert ended.returncode == 1
    assert "::error file=bad.recipe,line=" in ended.stdout


def test_no_recipe_and_another_command_are_errors(repository: Path):
    assert _steps(repository, files="none/*.recipe").returncode == 2
    ended = _steps(repository, command="run; touch stolen")
    assert ended.returncode == 2
    assert not (repository / "stolen").exists()


def test_names_of_files_are_no_code(repository: Path):
    (repository / "$(touch stolen).recipe").write_text(GOOD)
    assert _steps(repository).returncode == 0
    assert not (repository / "stolen").exists()


def test_every_hook_is_a_command():
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8")):
        program, name = hook["entry"].split()
        assert program == "recipelang"
        assert name in COMMANDS
        assert re.search(hook["files"], "recipes/squad.recipe")
