"""Batches of a stream are a function of seed, step and data, from wherever they are taken up."""

import json
import random
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from recipelang.engine import streaming
from recipelang.engine.streaming import Stream
from recipelang.planning.data import features_of
from recipelang.planning.data_plan import DataPlan, SplitPlan, StreamPlan
from recipelang.source import RecipeError
from recipelang.tasks import task_of
from recipelang.tasks.meaning import Meaning
from tests.conftest import WORDS
from tests.decoders import make_decoder
from tests.other_tasks import TASKS, make_task


@dataclass(frozen=True)
class Stage:
    name: str = "sparse"
    batch: int = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_decoder(tmp_path_factory.mktemp("decoder") / "model")


def written(folder: Path, files: int = 3, each: int = 20) -> Path:
    rng = random.Random(0)
    (folder / "corpus").mkdir()
    for i in range(files):
        rows = ({"text": " ".join(rng.choices(WORDS, k=rng.randint(3, 14)))} for _ in range(each))
        (folder / "corpus" / f"part-{i}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "corpus"


def plan(path: Path, portion: int = 12, **more) -> DataPlan:
    split = SplitPlan(reference=str(path), split="train", stream=StreamPlan(portion=portion))
    return DataPlan(label="", task="causal_lm", splits={"train": split}, max_length=16, stride=0, **more)


def opened(data, model, step=0, at=None, until=30) -> Stream:
    return Stream(data, Stage(), model, 7, until, step, at)


def drawn(stream, first, last):
    return [stream.batch(step)["input_ids"] for step in range(first, last)]


@pytest.mark.parametrize("step", [0, 1, 5, 6, 13, 14, 29])
def test_taken_up_at_any_step_it_goes_on_as_before(tmp_path, model, step):
    data = plan(written(tmp_path))
    whole = opened(data, model)
    batches = drawn(whole, 0, step)
    at, features = whole.position(step), whole.features(step)
    rest = drawn(whole, step, 30)
    assert at.model_validate_json(at.model_dump_json()) == at
    again = opened(data, model, step, at)
    assert len(again.features(step)) == len(features)
    assert all(np.array_equal(a, b) for a, b in zip(drawn(again, step, 30), rest, strict=True))
    assert again.position(30) == whole.position(30)
    assert whole.position(30).passes >= 1
    assert all(batch.shape[0] == 4 for batch in batches + rest)


def test_a_pass_reads_every_record_and_the_next_one_in_another_order(tmp_path, model):
    data = plan(written(tmp_path), portion=1000)
    stream = opened(data, model, until=10_000)
    first = stream.portion
    second = stream._following()
    assert (first.begins.size, second.begins.size, second.begins.records) == (60, 60, 60)
    assert (first.begins.passes, second.begins.passes) == (0, 1)
    assert sorted(first.order) == [*range(len(first.features))]
    assert len({tuple(stream._order(passes)) for passes in range(9)}) > 3  # of the files
    assert first.order.tolist() != second.order.tolist()[: len(first.order)]


def test_without_shuffling_records_come_as_they_lie(tmp_path, model):
    data = plan(written(tmp_path), shuffle=False)
    stream = opened(data, model)
    batch = stream.batch(0)["input_ids"]
    assert np.array_equal(batch, stream.portion.features.input_ids[:4])
    assert list(stream._order(3)) == [0, 1, 2]


def test_seed_and_stage_decide_the_order(tmp_path, model):
    data = plan(written(tmp_path))
    one = Stream(data, Stage(), model, 7, 9)
    other = Stream(data, Stage(name="dense"), model, 7, 9)
    assert not np.array_equal(one.batch(0)["input_ids"], other.batch(0)["input_ids"])


def test_a_portion_that_changed_since_is_refused(tmp_path, model):
    folder = written(tmp_path)
    data = plan(folder)
    stream = opened(data, model)
    drawn(stream, 0, 5)
    at = stream.position(5)
    for file in folder.iterdir():
        file.write_text(file.read_text().replace(WORDS[0], WORDS[1]))
    with pytest.raises(RecipeError) as error:
        opened(data, model, 5, at)
    (found,) = error.value.diagnostics
    assert found.code == "E216" and "part-" in found.notes[0]


def test_a_record_that_cannot_be_read_is_told_when_a_step_needs_it(tmp_path, model):
    folder = written(tmp_path, files=1, each=40)
    text = (folder / "part-0.jsonl").read_text().splitlines(keepends=True)
    (folder / "part-0.jsonl").write_text("".join([*text[:30], '{"text": 3}\n', *text[31:]]))
    stream = opened(plan(folder), model)
    steps = 0
    with pytest.raises(RecipeError) as error:
        while True:
            stream.batch(steps)
            steps += 1
    assert steps >= 3
    (found,) = error.value.diagnostics
    assert (found.code, found.message) == ("E075", "record 30 of `part-0.jsonl` is not text")


def test_a_stream_that_stalls_is_told(tmp_path, model, monkeypatch):
    data = plan(written(tmp_path))
    stream = opened(data, model, until=1)  # nothing is made ahead
    gate = threading.Event()
    monkeypatch.setattr(streaming, "STALLED", 0.01)
    monkeypatch.setattr(stream.through, "take", lambda most, heard: gate.wait(10))
    with pytest.raises(RecipeError) as error:
        drawn(stream, 0, 30)
    gate.set()
    assert error.value.diagnostics[0].code == "E217"


@pytest.mark.parametrize("task", [t for t in (*TASKS, "text_to_text", "causal_lm") if task_of(t).streams])
def test_a_portion_has_the_rows_that_reading_the_file_as_a_whole_gives(task, tmp_path, model):
    if task in ("text_to_text", "causal_lm"):
        folder = model
        rows = [{"text": " ".join(WORDS[i:]), "source": WORDS[i], "target": " ".join(WORDS[:i])} for i in range(1, 9)]
        (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        make_task(tmp_path, task)
        folder = tmp_path / "model"
    it = task_of(task)
    reference = str(tmp_path / "train.jsonl")
    whole = it.read(reference, "train", {}, None)
    meaning = it.decide({"train": whole}, Meaning())
    examples = it.examples(whole, meaning, {}, reference)
    labels = it.classes.names(examples) if it.classes else ()
    split = SplitPlan(reference=reference, split="train", stream=StreamPlan(portion=1000))
    data = DataPlan(
        label="", task=task, splits={"train": split}, meaning=meaning, labels=labels, max_length=16, stride=0
    )
    expected = features_of(data, "train", folder, it.load_tokenizer(folder), examples)
    found = Stream(data, Stage(), folder, 7, 1).portion.features
    for one, other in zip(found.inputs(), expected.inputs(), strict=True):
        assert np.array_equal(one, other)
    rows = np.arange(len(found))
    batches = found.batch(rows, draw=1), expected.batch(rows, draw=1)
    assert all(np.array_equal(batches[0][n], batches[1][n]) for n in batches[1])
