"""What a run wrote, what somebody else put beside it, and links that lead out of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipelang.engine.leavings import check_no_links, files_of_a_run, remove_run
from recipelang.source import RecipeError

OURS = (
    "run.json", "README.md", "report.html", "config.json", "model.safetensors", "model-00001-of-00002.safetensors",
    "model.safetensors.index.json", "tokenizer.json", "chat_template.jinja", "added_tokens.json", "recipe/plan.json",
    "recipe/sources/a/b.recipe", "checkpoints/stage-00-step-00000004/state.json", "plots/learning-rate.svg",
    "tensorboard/events.out.tfevents.1790000000.17.123", "stages/dense/model.safetensors", "export/config.json",
    ".run.json.0123456789abcdef.tmp", "checkpoints/.stage-00-step-00000008.0123456789abcdef.tmp/model.safetensors",
)  # fmt: skip
OTHERS = (
    "thesis.tex", "notes/run.json", "recipe/mine.recipe", "checkpoints/notes.md", "model.bin", "plots/data.csv",
    "tensorboard/mine", "stages/dense/notes.md", ".git/config", "run.json.bak", ".notes.tmp",
)  # fmt: skip


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name in OURS:
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path / "out"


def test_all_that_a_run_writes_is_known_and_goes(out: Path):
    assert files_of_a_run(out) == (sorted(OURS), [])
    remove_run(out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", OTHERS)
def test_what_no_run_writes_keeps_everything(name: str, out: Path):
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("mine")
    with pytest.raises(RecipeError) as caught:
        remove_run(out)
    assert name in caught.value.diagnostics[0].notes[0]
    assert (out / "model.safetensors").exists() and (out / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["checkpoints", "recipe", "run.json", "plots/loss.svg", "stages/dense"])
def test_a_link_in_a_run_is_refused_before_anything_is_written(name: str, tmp_path: Path):
    (tmp_path / "outside").mkdir()
    link = tmp_path / "out" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "outside")
    with pytest.raises(RecipeError) as caught:
        check_no_links(tmp_path / "out")
    assert (caught.value.diagnostics[0].code, name in caught.value.diagnostics[0].message) == ("E139", True)
    assert files_of_a_run(tmp_path / "out")[1] == [name]
