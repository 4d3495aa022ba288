"""What a run writes is told by its name: nothing else is listed in a statement, or deleted because one lists it."""

from __future__ import annotations

import json

import pytest

from recipelang.engine.leavings import check_only_a_run, files_of_a_run, written_by_runs
from recipelang.engine.statement import _files
from recipelang.source import RecipeError

OURS = [
    "run.json", "recipe/trackers.json", "README.md", "config.json", "model.safetensors", "model-00001-of-00002.safetensors", "tokenizer.json",
    "LICENSE", "spiece.model", "additional_chat_templates/tool.jinja", "recipe/plan.json", "recipe/sources/a/b.recipe",
    "stages/dense/model.safetensors", "stages/dense/LICENSE", "tensorboard/events.out.tfevents.1.2.3",
]  # fmt: skip
OTHERS = [
    "thesis.tex", "notes.txt", "pytorch_model.bin", "modeling_x.py", "tokenizer.pkl", "tokenizer.py", "run2.json",
    "recipe/mine.txt", "deep/tokenizer.json", "deep/LICENSE", "stages/dense/deep/LICENSE", "checkpoints/x.pt",
    "additional_chat_templates/x.py", "best/model.safetensors",
]  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_a_run_writes_it(name: str):
    assert written_by_runs(name)


@pytest.mark.parametrize("name", OTHERS)
def test_no_run_writes_it(name: str):
    assert not written_by_runs(name)


def test_a_users_file_is_not_listed_and_not_deleted(tmp_path):
    (tmp_path / "recipe").mkdir()
    for name in ("run.json", "LICENSE", "thesis.tex"):
        (tmp_path / name).write_text("{}", "utf-8")
    assert set(_files(tmp_path)) == {"run.json", "LICENSE"}
    listed = {"_type": "", "subject": [], "predicate": {"files": {"thesis.tex": "0" * 64, "LICENSE": "0" * 64}}}
    (tmp_path / "recipe/statement.json").write_text(json.dumps(listed), "utf-8")
    assert files_of_a_run(tmp_path)[1] == ["thesis.tex"]
    with pytest.raises(RecipeError, match="E085"):
        check_only_a_run(tmp_path)
