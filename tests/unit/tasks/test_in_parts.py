"""Model inputs made by several processes are those of one, to the bit."""

from __future__ import annotations

import dataclasses
import json
import os
import threading

import numpy as np
import pytest

from recipelang.planning import data
from recipelang.planning.data import load_split
from recipelang.source import RecipeError
from recipelang.storage import pages
from recipelang.tasks import in_parts, rows, task_of
from recipelang.tasks.encoding import Rows
from tests.other_tasks import TASKS as OTHER_TASKS
from tests.unit.planning.test_prepared import made

#: whose rows are made of one example each
TASKS = (*(name for name in OTHER_TASKS if not task_of(name).blocks), "question_answering")


def forks(monkeypatch, processes: int, piece: int = 4) -> list[int]:
    started = []
    fork = os.fork

    def counted() -> int:
        started.append(1)
        return fork()

    monkeypatch.setattr(os, "fork", counted)
    monkeypatch.setattr(in_parts, "PIECE", piece)
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # whatever other tests have started
    monkeypatch.setenv(in_parts.VARIABLE, str(processes))
    return started


def whole(features) -> dict[str, object]:
    own = {f.name: getattr(features, f.name) for f in dataclasses.fields(features)}
    return {k: (v.dtype, v.shape, v.tolist()) if isinstance(v, np.ndarray) else v for k, v in own.items()}


@pytest.mark.parametrize("task", TASKS)
def test_any_number_of_processes_makes_the_same_rows(tmp_path, task, monkeypatch):
    plan, model = made(tmp_path, task)
    monkeypatch.setenv(in_parts.VARIABLE, "1")
    wanted = whole(load_split(plan, "train", model, anew=True)[1])
    for processes, piece in ((2, 4), (3, 5), (4, 1)):
        with monkeypatch.context() as patch:
            started = forks(patch, processes, piece)
            assert whole(load_split(plan, "train", model, anew=True)[1]) == wanted
            assert len(started) == processes


def test_choices_of_different_numbers_in_different_pieces():
    def part(many: list[int]) -> Rows:
        sizes = np.array([[3] * n + [0] * (max(many) - n) for n in many], np.int32)
        starts = np.where(sizes > 0, (np.cumsum(sizes) - 3).reshape(sizes.shape), 0)
        return Rows(np.arange(3 * sum(many), dtype=np.int32), None, starts, sizes, np.zeros(len(many), np.int64), 0)

    found = Rows.joined([part([2, 1]), part([3, 2])], 2)
    assert found.sizes.tolist() == [[3, 3, 0], [3, 0, 0], [3, 3, 3], [3, 3, 0]]
    assert found.starts.tolist() == [[0, 3, 0], [6, 0, 0], [9, 12, 15], [18, 21, 0]]


def test_rows_that_lie_in_a_file_are_read_by_every_process(tmp_path, monkeypatch):
    plan, model = made(tmp_path, "sequence_classification")
    path = tmp_path / "many.jsonl"
    text = "".join(
        json.dumps({"sentence1": f"the of {i}", "sentence2": "is", "label": i % 3}) + "\n" for i in range(99)
    )
    path.write_text(text, "utf-8")
    splits = {"train": plan.splits["train"].model_copy(update={"reference": str(path), "digest": ""})}
    plan = plan.model_copy(update={"splits": splits})
    monkeypatch.setattr(rows, "PORTION", 7)
    monkeypatch.setattr(pages, "MOST", 10)
    monkeypatch.setenv(in_parts.VARIABLE, "1")
    wanted = whole(load_split(plan, "train", model)[1])
    started = forks(monkeypatch, 3, 10)
    assert whole(load_split(plan, "train", model)[1]) == wanted and len(started) == 3


@pytest.mark.parametrize("how", ["dies", "raises"])
def test_where_a_process_fails_one_does_it_all(tmp_path, monkeypatch, how):
    plan, model = made(tmp_path, "sequence_classification")
    monkeypatch.setenv(in_parts.VARIABLE, "1")
    wanted = whole(load_split(plan, "train", model, anew=True)[1])
    here, task = os.getpid(), task_of("sequence_classification")

    def featurize(*how_to):
        if os.getpid() != here:
            os.kill(os.getpid(), 9) if how == "dies" else int("x")
        return task.featurize(*how_to)

    monkeypatch.setattr(data, "task_of", lambda name: dataclasses.replace(task, featurize=featurize))
    started = forks(monkeypatch, 2)
    assert whole(load_split(plan, "train", model, anew=True)[1]) == wanted and len(started) == 2


def test_a_bad_record_is_named_as_by_one_process(tmp_path, monkeypatch):
    plan, model = made(tmp_path, "sequence_classification")
    plan = plan.model_copy(update={"labels": ("0", "1")})
    told = []
    for processes in (1, 3):
        with monkeypatch.context() as patch:
            forks(patch, processes)
            with pytest.raises(RecipeError) as caught:
                load_split(plan, "train", model, anew=True)
            told.append(str(caught.value))
    assert told[0] == told[1] and "record 2" in told[0]


@pytest.mark.parametrize(("text", "found"), [("", None), (" 3 ", 3), ("1", 1)])
def test_the_environment_says_how_many(text, found, monkeypatch):
    monkeypatch.setenv(in_parts.VARIABLE, text)
    assert in_parts.asked() == found


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "9999"])
def test_what_is_no_number_of_processes(text, monkeypatch):
    monkeypatch.setenv(in_parts.VARIABLE, text)
    with pytest.raises(ValueError, match=text):
        in_parts.asked()


def test_few_examples_are_made_by_one_process(monkeypatch):
    monkeypatch.delenv(in_parts.VARIABLE, raising=False)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [in_parts.processes_for(n) for n in (0, 99_999, 100_000, 10**7)] == [1, 1, 2, 8]
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert in_parts.processes_for(10**7) == 1
