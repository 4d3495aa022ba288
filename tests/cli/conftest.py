"""A folder to stand in, with a tiny model, its data and `tiny.recipe`."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import RECIPE

TEXT = RECIPE.format(length="2 epochs", extra="")


@pytest.fixture
def text() -> str:
    """A sound recipe."""
    return TEXT


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with nothing but `tiny.recipe`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.recipe").write_text(TEXT, "utf-8")
    return tmp_path


@pytest.fixture
def contents(here: Path) -> Path:
    """The working folder, with files that can be digested and nothing else."""
    (here / "model").mkdir()
    for name in ("model/config.json", "train.json", "dev.json"):
        (here / name).write_text(f'{{"what": "{name}"}}', "utf-8")
    (here / "model" / "model.safetensors").write_bytes(b"weights")
    return here


@pytest.fixture
def project(here: Path, tiny: Path) -> Path:
    """The working folder, with all that `tiny.recipe` names."""
    shutil.copytree(tiny, here, dirs_exist_ok=True)
    return here


@pytest.fixture
def edit(here: Path) -> Callable[[str, str], str]:
    """Change a passage of `tiny.recipe`; gives the file's name."""

    def change(old: str, new: str) -> str:
        path = here / "tiny.recipe"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")
        return path.name

    return change


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Send this process a signal after so many steps of the next run, once."""
    from recipelang.report.progress import Progress

    stepped = Progress.stepped

    def arm(steps: int, number: int = signal.SIGTERM) -> None:
        left = steps

        def then_stop(self, *arguments) -> None:  # type: ignore[no-untyped-def]
            nonlocal left
            stepped(self, *arguments)
            left -= 1
            if left == 0:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(Progress, "stepped", then_stop)

    return arm
