"""While a recipe is planned, every split is read once; outside, or of a file that changes, it is read anew."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from recipelang.planning import opened
from recipelang.planning.contents import data_digest
from recipelang.planning.data_plan import SplitPlan
from recipelang.tasks.meaning import Meaning


@pytest.fixture
def split(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": f"t{i}", "label": i % 2}) + "\n" for i in range(6)), "utf-8")
    task = opened.task_of("sequence_classification")
    reads = []

    def read(*how):
        reads.append(how)
        return task.read(*how)

    monkeypatch.setattr(opened, "task_of", lambda name: replace(task, read=read))
    return SplitPlan(reference=str(path), split="train", digest=data_digest(path)), path, reads


def examples(split: SplitPlan, columns=None):
    return opened.open_split("sequence_classification", split, columns or {}, None, Meaning())


def test_a_split_is_read_once_inside_and_each_time_outside(split):
    split, _, reads = split
    with opened.read_once():
        first = examples(split)
        assert list(examples(split)) == list(first) and len(reads) == 1
        examples(split, {"text": "text"})
        examples(split.model_copy(update={"split": "test"}))
        assert len(reads) == 3
    examples(split)
    assert len(reads) == 4


def test_a_file_that_is_not_what_was_planned_is_not_held(split):
    split, path, reads = split
    with opened.read_once():
        path.write_text('{"text": "other", "label": 1}\n{"text": "b", "label": 0}\n', "utf-8")
        assert [e.text for e in examples(split)] == ["other", "b"]
        path.write_text('{"text": "third", "label": 1}\n{"text": "b", "label": 0}\n', "utf-8")
        assert [e.text for e in examples(split)] == ["third", "b"] and len(reads) == 2


def test_what_was_held_is_gone_after_an_error(split):
    split, _, reads = split
    with pytest.raises(ZeroDivisionError), opened.read_once():
        examples(split)
        raise ZeroDivisionError
    examples(split)
    assert len(reads) == 2
