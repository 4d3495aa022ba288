"""Data that cannot be used: which file, which question, and what stands there instead."""

import json
from pathlib import Path

import pytest

from .command import command

CONTEXT = "the gold of peru"
FLAT = {"id": "q1", "question": "what", "context": CONTEXT, "answers": {"text": ["gold"], "answer_start": [4]}}


def nested(**changes: object) -> dict:  # type: ignore[type-arg]
    qa = {"id": "q1", "question": "what", "answers": [{"text": "gold", "answer_start": 4}], **changes}
    return {"data": [{"title": "t", "paragraphs": [{"context": CONTEXT, "qas": [qa]}]}]}


@pytest.fixture
def train(project: Path, edit):
    """Write `t.json` (or another name) and make it the recipe's training data."""

    def write(content: object, name: str = "t.json") -> Path:
        if content is not None:
            text = content if isinstance(content, bytes | str) else json.dumps(content)
            (project / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        edit('train = "train.json"', f'train = "{name}"')
        return project / name

    return write


def refused(code: str, *said: str, at: str = "tiny.recipe:9:16") -> None:
    for arguments in (["plan", "tiny.recipe"], ["run", "tiny.recipe", "-o", "out"]):
        ended = command(*arguments)
        assert (ended.code, ended.codes) == (1, [code])
        assert at in ended.err
        for text in said:
            assert text in ended.err
    assert not Path("out").exists()


def test_missing_file_tells_what_is_beside_it(train):
    train(None, "trian.json")
    refused("E074", "there is no data file", "in that folder: dev.json, train.json")


def test_folder_for_a_file(train):
    train(None, "model")
    refused("E074", "is a folder")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{nope", "line 1: expecting property name"),
        ('{\n"data": [}', "line 2: expecting value"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe{}", "is not UTF-8"),
        ("", "is empty"),
        (" \n ", "is empty"),
        ("[]", "holds no questions"),
        ('{"data": []}', "holds no questions"),
        ("7", "neither in SQuAD's format nor a list of records"),
        ("null", "neither in SQuAD's format nor a list of records"),
        ('{"rows": [], "info": 1}', "it holds `rows`, `info`"),
        ('{"data": {"paragraphs": []}}', "SQuAD files have `data` at the top"),
        ("[1, 2]", "record 0 of `t.json` is not an object"),
        ('{"data": [1]}', "is not in SQuAD's format"),
        ('{"data": [{"paragraphs": [{"context": "x"}]}]}', "a part lacks 'qas'"),
        ('{"data": [{"paragraphs": [{"qas": [{"id": 1, "question": "x"}]}]}]}', "a part lacks 'context'"),
    ],
)
def test_file_that_is_not_question_answering_data(train, content, said):
    train(content)
    refused("E074", said)


def test_wrong_columns_are_answered_with_the_real_ones(train, edit):
    train([{"qid": "1", "query": "what", "passage": CONTEXT, "answers": FLAT["answers"]}])
    refused("E074", "has no column `question`", "its columns are `qid`, `query`, `passage`, `answers`", "columns {")
    edit("data {", 'data {\n  columns { question = "query", context = "text" }\n ')
    refused("E074", "has no column `text`", at="tiny.recipe:11:")
    edit('"text"', '"passage"')
    edit('validation = "dev.json"', 'validation = "t.json"')
    assert command("plan", "tiny.recipe").code == 0


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        ({"answers": None}, "E074", "are null, not a list"),
        ({"answers": "gold"}, "E074", "are str, not a list"),
        ({"answers": [1]}, "E074", "lack `text` or `answer_start`"),
        ({"answers": {"text": 3, "answer_start": 4}}, "E074", "are not lists"),
        ({"answers": {"text": "gold", "answer_start": 4}}, "E074", "are not lists"),
        ({"answers": {"text": None, "answer_start": None}}, "E074", "are not lists"),
        ({"answers": {"text": ["gold"], "answer_start": []}}, "E075", "answers without an offset"),
        ({"question": None}, "E075", "has a part that is not text"),
        ({"question": "\ud800"}, "E075", "has a part that is not text"),
        ({"context": ["x"]}, "E075", "has a part that is not text"),
    ],
)
def test_record_of_another_shape(train, row, code, said):
    train([FLAT, {**FLAT, "id": "q2", **row}])
    refused(code, said)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {"text": "gold", "answer_start": 5},
            ("write 4: the answer begins there", "at 5; the passage has `old ` there"),
        ),
        ({"text": "gold", "answer_start": -1}, ("write 4: the answer begins there",)),
        ({"text": "gold", "answer_start": 10**30}, ("write 4: the answer begins there",)),
        ({"text": "silver", "answer_start": 4}, ("the passage does not contain it", "the passage has `gold o` there")),
    ],
)
def test_answer_that_is_not_at_its_offset(train, answer, said):
    train(nested(answers=[answer]))
    refused("E075", "an answer of question `q1` is not at its offset", *said)


def test_offset_that_is_no_number(train):
    train(nested(answers=[{"text": "gold", "answer_start": "4"}]))
    refused("E075", "question `q1` of `t.json` has answers without an offset")


def test_json_lines(train):
    path = train("\n".join(json.dumps({**FLAT, "id": f"q{i}"}) for i in range(5)) + "\n\n", "t.jsonl")
    assert json.loads(command("plan", "tiny.recipe", "--json").out)["data"][0]["examples"]["train"] == 5
    separator = json.dumps({**FLAT, "context": f"{CONTEXT}\u2028lima"}, ensure_ascii=False)
    path.write_text(separator + "\r\n" + separator.replace("q1", "q2"), "utf-8")  # only \n ends a line
    assert json.loads(command("plan", "tiny.recipe", "--json").out)["data"][0]["examples"]["train"] == 2
    path.write_text(f"{json.dumps(FLAT)}\n\n{{nope\n", "utf-8")
    refused("E074", "`t.jsonl` is not JSON", "line 3: ")


def test_split_that_is_not_given(project, edit):
    edit('validation = "dev.json", ', "")
    refused("E074", "the data has no `validation` split", "given: `train`", at="tiny.recipe:9:1")


def test_windows_longer_than_the_model_takes(project, edit):
    edit("max_length = 32", "max_length = 65")
    refused("E038", "the 64 tokens the model takes", at="tiny.recipe:9:68")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("hf://owner/squad", "run once with network access, or name local files"),
        ("lib://fiction", "it has `lib://facts`"),
        ("s3://bucket/squad", "data cannot be read from `s3://`"),
        ("https://example.com/squad.json", "data cannot be read from `https://`"),
    ],
)
def test_reference_that_leads_nowhere(train, reference, said):
    train(None, reference)
    refused("E047", said)


def test_splits_of_the_library(train):
    train(None, "lib://facts")
    assert json.loads(command("plan", "tiny.recipe", "--json").out)["data"][0]["examples"]["train"] > 1000


def test_two_questions_of_one_id(train):
    data = nested()
    paragraph = data["data"][0]["paragraphs"][0]
    paragraph["qas"] = [paragraph["qas"][0], paragraph["qas"][0]]
    train(data)
    refused("E075", "have the id `q1`", "give every question its own")
