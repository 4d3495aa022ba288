"""Rows of tokens are made once, kept in the cache folder, and taken from there only as they were made."""

from __future__ import annotations

import dataclasses
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from recipelang.planning import data, opened, prepared, remembered
from recipelang.planning.data import load_split
from recipelang.planning.data_plan import DataPlan, SplitPlan
from recipelang.source import RecipeError
from recipelang.storage import growing, writing
from recipelang.tasks import causal_lm, hub, task_of
from recipelang.tasks.later import Later
from recipelang.tasks.meaning import Meaning
from tests.conftest import WORDS, make_data
from tests.decoders import make_chats, make_instruct_folder, make_text
from tests.hub_cache import COMMIT, cache_data_set
from tests.other_tasks import TASKS, records

ALL = (*TASKS, "question_answering", "causal_lm", "text_to_text", "chats")
CLASSES = {"sequence_classification": ("0", "1", "2"), "token_classification": ("O", "B-X")}
#: fields that are read
COLUMNS = {
    "sequence_classification": {"text": "sentence1", "pair": "sentence2", "label": "label"},
    "regression": {"text": "sentence1", "pair": "sentence2", "label": "score"},
    "multiple_choice": {"question": "question", "choices": "choices", "answer": "answer"},
    "sentence_similarity": {"text": "sentence1", "pair": "sentence2", "score": "score"},
    "token_classification": {"tokens": "tokens", "tags": "ner_tags"},
    "text_to_text": {"source": "sentence1", "target": "sentence2"},
    "chats": {"messages": "messages"},
    "masked_lm": {"text": "text"},
    "causal_lm": {"text": "text"},
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECIPELANG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(prepared, "LEAST", 0)
    monkeypatch.setattr(remembered, "_SETTLED_NS", 0)
    return tmp_path


def make_tokenizer(folder: Path) -> Path:
    """What a folder of a small BERT says of tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"model_type": "bert", "vocab_size": len(words), "max_position_embeddings": 64, "type_vocab_size": 2}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def made(folder: Path, task: str, **more: object) -> tuple[DataPlan, Path]:
    """Data of a task, and the folder of a model."""
    path = folder / "train.json"
    if task == "question_answering":
        make_data(path, 12)
    elif task == "chats":
        path = make_chats(folder / "train.jsonl", 6)
    elif task in ("causal_lm", "masked_lm"):
        path = make_text(folder / "train.jsonl", 20)
    else:
        name = "regression" if task == "text_to_text" else task
        path.write_text(json.dumps(records(name, 17, 0)), "utf-8")
    model = folder / "model"
    if not model.exists():
        make_instruct_folder(model) if task == "chats" else make_tokenizer(model)
    return plan_of(path, "causal_lm" if task == "chats" else task, COLUMNS.get(task, {}), **more), model


def plan_of(path: Path, task: str, columns: dict[str, str], **more: object) -> DataPlan:
    digest = f"sha256:{remembered.file_digest(path)}"
    body = {
        "label": "",
        "task": task,
        "splits": {"train": SplitPlan(reference=str(path), split="train", digest=digest)},
        "config": None,
        "columns": {},
        "meaning": Meaning(columns=columns),
        "max_length": 32,
        "stride": 8,
        "samples": None,
        "shuffle": True,
        "group_by_length": False,
        "seed": None,
        "draw_seed": 1,
        "labels": CLASSES.get(task, ()),
        "chat": None,
    }
    return DataPlan(**{**body, **more})


def batches(features) -> list[dict[str, list]]:
    rows = np.arange(len(features))[::-1]
    return [
        {k: (v.dtype, v.tolist()) for k, v in features.batch(rows[i : i + 5], draw=3).items()}
        for i in range(0, len(rows), 5)
    ]


def arrays(folder: Path) -> list[Path]:
    return sorted((folder / "cache" / "features").glob("*.arrow"))


def without_tokenizer(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made any more."""

    def never(*_: object) -> None:
        raise AssertionError("made again")

    changed(task, monkeypatch, featurize=never, first_blocks=never)


def changed(task: str, monkeypatch: pytest.MonkeyPatch, **how: object) -> None:
    module = import_module(f"recipelang.tasks.{task}")
    monkeypatch.setattr(module, "TASK", dataclasses.replace(task_of(task), **how))


@pytest.mark.parametrize("task", ALL)
def test_rows_are_made_once_and_are_the_same_to_the_bit(own, task, monkeypatch):
    plan, model = made(own, task)
    examples, fresh = load_split(plan, "train", model, anew=True)
    assert not arrays(own)
    _, first = load_split(plan, "train", model)
    assert len(arrays(own)) == 1
    without_tokenizer(plan.task, monkeypatch)
    again, second = load_split(plan, "train", model)
    assert type(second) is type(fresh)
    assert batches(second) == batches(first) == batches(fresh)
    assert isinstance(again, Later) and list(again) == list(examples) and list(again[1:3]) == list(examples[1:3])
    for field in dataclasses.fields(fresh):
        value, kept = getattr(fresh, field.name), getattr(second, field.name)
        if isinstance(value, np.ndarray):
            assert kept.dtype == value.dtype and kept.shape == value.shape and np.array_equal(kept, value)
        elif field.name != "tokenizer":
            assert kept == value and type(kept) is type(value)
    assert all(np.array_equal(a, b) for a, b in zip(second.inputs(), fresh.inputs(), strict=True))


def test_rows_are_views_of_the_file(own):
    plan, model = made(own, "sequence_classification")
    load_split(plan, "train", model)
    _, features = load_split(plan, "train", model)
    assert not features.tokens.flags.writeable and not features.tokens.flags.owndata


@pytest.mark.parametrize("task", ["causal_lm", "question_answering"])
def test_examples_are_not_read_where_rows_are_kept(own, task, monkeypatch):
    plan, model = made(own, task)
    load_split(plan, "train", model)

    def never(*_: object) -> None:
        raise AssertionError("read")

    changed(task, monkeypatch, read=never)
    examples, features = load_split(plan, "train", model)
    assert len(features)
    with pytest.raises(AssertionError, match="read"):
        len(examples)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def gone(path: Path) -> None:
    path.unlink()


def a_link(path: Path) -> None:
    other = path.with_name("elsewhere")
    path.rename(other)
    path.symlink_to(other)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [cut_short, empty, one_bit, gone, a_link, a_folder])
def test_a_damaged_file_is_made_again(own, damage):
    plan, model = made(own, "sequence_classification")
    _, first = load_split(plan, "train", model)
    expected = batches(first)
    damage(arrays(own)[0])
    _, second = load_split(plan, "train", model)
    assert batches(second) == expected
    if damage is not a_folder:  # nothing of ours is written over what is not ours
        assert batches(load_split(plan, "train", model)[1]) == expected
        assert arrays(own)[0].is_file() and not arrays(own)[0].is_symlink()


@pytest.mark.parametrize(
    "change",
    [
        {"form": "Example"},
        {"form": "opener"},
        {"form": "nothing"},
        {"arrays": {}},
        {"arrays": {"tokens": {"type": "int32", "shape": [1]}}},
        {"arrays": {"tokens": {"type": "object", "shape": [1]}}},
        {"told": {}},
        {"told": {"pad_id": "0"}},
        {"sha256": "0" * 64},
    ],
)
def test_a_note_that_says_something_else_is_not_believed(own, change):
    plan, model = made(own, "sequence_classification")
    _, first = load_split(plan, "train", model)
    (note,) = (p for p in (own / "cache" / "features").iterdir() if not p.suffix)
    said = json.loads(note.read_text("utf-8"))
    said["value"] |= change
    said["sha256"] = remembered._checksum(said["key"], said["value"])
    note.write_text(json.dumps(said), "utf-8")
    assert batches(load_split(plan, "train", model)[1]) == batches(first)


def test_what_decides_rows_decides_which_are_taken(own):
    plan, model = made(own, "causal_lm")
    load_split(plan, "train", model)
    for same in ({"label": "other"}, {"draw_seed": 2}, {"shuffle": False}, {"group_by_length": True}, {"samples": 3}):
        load_split(plan.model_copy(update=same), "train", model)
        load_split(plan.model_copy(update=same), "train", model, 2)
    assert len(arrays(own)) == 1
    load_split(plan.model_copy(update={"max_length": 16}), "train", model)
    assert len(arrays(own)) == 2
    config = json.loads((model / "tokenizer.json").read_text("utf-8"))
    (model / "tokenizer.json").write_text(json.dumps(config, indent=1), "utf-8")
    load_split(plan, "train", model)
    assert len(arrays(own)) == 3


def test_rows_of_a_file_that_changed_since_it_was_planned_are_not_kept(own):
    plan, model = made(own, "causal_lm")
    make_text(own / "train.jsonl", 25, seed=4)
    examples, _ = load_split(plan, "train", model)
    assert len(examples) == 25 and not arrays(own)


def test_what_decides_must_not_change_while_rows_are_made(own, monkeypatch):
    plan, model = made(own, "causal_lm")
    featurize = task_of("causal_lm").featurize

    def meanwhile(*given: object) -> object:
        make_text(own / "train.jsonl", 25, seed=4)
        return featurize(*given)

    changed("causal_lm", monkeypatch, featurize=meanwhile)
    load_split(plan, "train", model)
    assert not arrays(own)


def test_examples_read_later_are_checked(own):
    plan, model = made(own, "causal_lm")
    load_split(plan, "train", model)
    examples, _ = load_split(plan, "train", model)

    def refuse() -> None:
        raise RecipeError([])

    examples.check = refuse
    with pytest.raises(RecipeError):
        list(examples)


def test_a_cache_that_cannot_be_written_only_costs_time(own, monkeypatch):
    plan, model = made(own, "causal_lm")
    (own / "cache").write_text("a file")
    _, features = load_split(plan, "train", model)
    assert batches(features) == batches(load_split(plan, "train", model)[1])
    assert prepared.refusal() and not prepared.refusal()


def test_a_full_disk_leaves_nothing_behind(own, monkeypatch):
    plan, model = made(own, "causal_lm")

    def full(path: Path, arrays: object) -> None:
        path.write_bytes(b"begun")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepared, "_write", full)
    _, features = load_split(plan, "train", model)
    assert len(features)
    assert not list((own / "cache" / "features").iterdir())
    assert "the disk is full" in prepared.refusal()


def test_a_file_is_written_beside_another_run(own, monkeypatch):
    """Another run writes the same rows while these are written: both are whole at any moment."""
    plan, model = made(own, "causal_lm")
    rename = writing._rename

    def after_another(part: Path, path: Path, folder: int) -> None:
        monkeypatch.setattr(writing, "_rename", rename)
        load_split(plan, "train", model)
        rename(part, path, folder)

    monkeypatch.setattr(writing, "_rename", after_another)
    _, first = load_split(plan, "train", model)
    without_tokenizer("causal_lm", monkeypatch)
    assert batches(load_split(plan, "train", model)[1]) == batches(first)
    assert [p.suffix for p in sorted((own / "cache" / "features").iterdir())] == ["", ".arrow"]


@pytest.mark.parametrize("task", ALL)
def test_rows_that_outgrow_memory_are_the_same(own, task, monkeypatch):
    plan, model = made(own, task)
    expected = batches(load_split(plan, "train", model, anew=True)[1])
    monkeypatch.setattr(growing, "MOST", 64)
    assert batches(load_split(plan, "train", model, anew=True)[1]) == expected


def test_the_files_written_first_go_where_all_take_too_much(own, monkeypatch):
    plan, model = made(own, "causal_lm")
    _, oldest = load_split(plan, "train", model)
    rows = batches(oldest)
    load_split(plan.model_copy(update={"max_length": 16}), "train", model)
    monkeypatch.setattr(prepared, "MOST", sum(p.stat().st_size for p in arrays(own)) + 200)
    load_split(plan.model_copy(update={"max_length": 8}), "train", model)
    assert len(arrays(own)) == 2 and len(list((own / "cache" / "features").iterdir())) == 4
    assert batches(oldest) == rows  # it is mapped still
    load_split(plan, "train", model)
    assert len(arrays(own)) == 2


@pytest.mark.parametrize("task", ["causal_lm", "masked_lm", "chats"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("samples", "first"), [(3, None), (3, 2), (None, 2), (100, None), (None, 100)])
def test_samples_are_those_of_all_blocks_whatever_was_kept_before(own, task, shuffle, samples, first):
    plan, model = made(own, task, shuffle=shuffle)
    _, whole = load_split(plan, "train", model, anew=True)
    expected = whole.some(samples, 1 if shuffle else None) if samples else whole
    expected = expected.some(first, None) if first else expected
    few = plan.model_copy(update={"samples": samples})
    assert batches(load_split(few, "train", model, first, anew=True)[1]) == batches(expected)
    assert batches(load_split(few, "train", model, first)[1]) == batches(expected)
    assert batches(load_split(few, "train", model, first)[1]) == batches(expected)
    load_split(plan, "train", model)
    assert batches(load_split(few, "train", model, first)[1]) == batches(expected)


def test_the_first_blocks_need_no_more_text_than_they_hold(own, monkeypatch):
    plan, model = made(own, "causal_lm", shuffle=False, samples=2)
    seen = []
    portions = causal_lm._portions
    monkeypatch.setattr(causal_lm, "_PORTION", 200)

    def counting(texts):
        for some in portions(texts):
            seen.append(some)
            yield some

    monkeypatch.setattr(causal_lm, "_portions", counting)
    load_split(plan, "train", model)
    few = len(seen)
    load_split(plan.model_copy(update={"shuffle": True}), "train", model, anew=True)
    assert few * 2 < len(seen) - few


def test_rows_of_the_hub_are_kept_by_their_commit(own, monkeypatch):
    cache_data_set(own / "hub", monkeypatch, {"text": ["alpha", "beta", "gamma"], "label": [0, 1, 0]})
    model = make_tokenizer(own / "model")
    split = SplitPlan(reference=f"hf://own/name@{COMMIT}", split="train")
    meaning = Meaning(columns={"text": "text", "label": "label"})
    plan = plan_of(model / "config.json", "sequence_classification", {}, splits={"train": split}, meaning=meaning)
    plan = plan.model_copy(update={"labels": ("no", "yes")})
    examples, first = load_split(plan, "train", model)
    assert isinstance(examples, Later) and len(list((own / "cache/features").glob("*.arrow"))) == 1
    monkeypatch.setattr(hub, "_load", lambda *a: pytest.fail("the rows are read again"))
    assert batches(load_split(plan, "train", model)[1]) == batches(first)
    for other in (f"hf://own/name@{'f' * 40}", "hf://own/name", "hf://own/name@main"):  # another commit, or none
        moved = plan.model_copy(update={"splits": {"train": split.model_copy(update={"reference": other})}})
        with pytest.raises(pytest.fail.Exception):
            load_split(moved, "train", model)


def test_a_reference_is_planned_as_the_commit_that_it_means(own, monkeypatch):
    cache_data_set(own / "hub", monkeypatch, {"text": ["alpha"], "label": [0]})
    asked = []
    known = hub.commit_of
    monkeypatch.setattr(hub, "commit_of", lambda reference: asked.append(reference) or known(reference))
    with opened.read_once():
        for reference, pins, wanted in (
            ("hf://own/name", {}, COMMIT),
            ("hf://own/name", {}, COMMIT),
            ("hf://own/name", {"hf://own/name": "a" * 40}, "a" * 40),
        ):
            found = data._located(reference, "train", own, pins)
            assert found.reference == f"hf://own/name@{wanted}" and data._read_of([found])
        assert asked == ["own/name"]
    unknown = data._located("hf://own/other", "train", own, {})
    assert unknown.reference == "hf://own/other" and data._read_of([unknown]) is None
