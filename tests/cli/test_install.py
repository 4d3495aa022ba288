"""What is installed is whole: grammar and recipes are in the wheel, which works alone, and the sdist builds the same."""

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from recipelang import __version__

from .command import ROOT, environment

pytest.importorskip("hatchling", reason="the build backend is in the `test` extra")

NAME = f"recipelang-{__version__}"


def build(source: Path, out: Path, kind: str) -> None:
    start = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    done = subprocess.run(start, cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    build(ROOT, folder, "sdist")
    with tarfile.open(folder / f"{NAME}.tar.gz") as file:
        file.extractall(folder, filter="data")
    return folder / NAME


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, unpacked as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    build(ROOT, folder, "wheel")
    with zipfile.ZipFile(folder / f"{NAME}-py3-none-any.whl") as file:
        file.extractall(folder / "site")
    return folder / "site"


def contents(folder: Path) -> dict[str, bytes]:
    found = (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc")
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def alone(place: Path, cwd: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where only this copy of the package can be found, and say which one was."""
    show = "import recipelang, sys; print(recipelang.__file__)\n"
    env = environment() | {"PYTHONPATH": str(place)}
    start = [sys.executable, "-c", show + code, *arguments]
    return subprocess.run(start, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


MAIN = "from recipelang.cli.main import main; main()"


def test_wheel_holds_the_package_the_grammar_and_the_recipes(wheel):
    package = contents(ROOT / "recipelang")
    shared = {f"_share/{name}/{p}": b for name in ("grammar", "recipes") for p, b in contents(ROOT / name).items()}
    assert {"_share/grammar/recipe.lark", "_share/recipes/quickstart.recipe"} <= set(shared)
    assert contents(wheel / "recipelang") == package | shared
    assert {p.name.partition("-")[0] for p in wheel.iterdir()} == {"recipelang"}  # no tests, no benchmarks


def test_wheel_declares_the_command_and_what_it_needs(wheel, tmp_path):
    (info,) = wheel.glob("*.dist-info")
    declared = re.search(r"^recipelang = ([\w.]+):(\w+)$", (info / "entry_points.txt").read_text("utf-8"), re.MULTILINE)
    assert declared
    module, function = declared.groups()
    done = alone(wheel, tmp_path, f"from {module} import {function}; {function}()", "--version")
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, [f"recipelang {__version__}"])
    metadata = (info / "METADATA").read_text("utf-8")
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Dist: torch<3,>=2.8" in metadata
    assert list(info.rglob("LICENSE"))


def test_wheel_works_alone(wheel, tmp_path):
    recipe = wheel / "recipelang" / "_share" / "recipes" / "quickstart.recipe"
    done = alone(wheel, tmp_path, MAIN, "validate", str(recipe))
    assert (done.returncode, done.stderr) == (0, "")
    used, said = done.stdout.splitlines()
    assert Path(used).is_relative_to(wheel)
    assert "ok (" in said
    page = alone(wheel, tmp_path, MAIN, "explain", "E051")
    assert page.returncode == 0
    assert "# E051" in page.stdout


def test_wheel_plans_a_model(wheel, project):
    done = alone(wheel, project, MAIN, "plan", "tiny.recipe", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    used, _, plan = done.stdout.partition("\n")
    assert Path(used).is_relative_to(wheel)
    assert json.loads(plan)["name"] == "tiny"


GRAMMAR = """
from recipelang.syntax.grammar import build, grammar_path
print(grammar_path())
print("PARAM" in {terminal.name for terminal in build().terminals})
"""


def test_grammar_is_found_in_the_wheel_and_in_a_checkout(wheel, tmp_path):
    for place, path in ((wheel, wheel / "recipelang" / "_share" / "grammar"), (ROOT, ROOT / "grammar")):
        done = alone(place, tmp_path, GRAMMAR)
        assert done.stdout.splitlines()[1:] == [str(path / "recipe.lark"), "True"], done.stderr


def test_sdist_builds_the_same_wheel(sdist, wheel, tmp_path):
    assert {"recipelang", "grammar", "recipes", "tests", "pyproject.toml"} <= {p.name for p in sdist.iterdir()}
    build(sdist, tmp_path, "wheel")
    with zipfile.ZipFile(tmp_path / f"{NAME}-py3-none-any.whl") as file:
        file.extractall(tmp_path / "site")
    assert contents(tmp_path / "site") == contents(wheel)
