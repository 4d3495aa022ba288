"""What is lost between a file and the model's inputs is refused, or counted; nothing goes without a word."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from recipelang.planning import data as planned
from recipelang.source import RecipeError
from recipelang.tasks import (
    multiple_choice as mc,
    question_answering as qa,
    sequence_classification as sc,
    token_classification as tc,
)
from recipelang.tasks.labels import looks_missing, make_classes
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.records import read_table
from recipelang.tasks.squad_format import Example
from tests.conftest import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("m"))


def refusal(call):
    with pytest.raises(RecipeError) as error:
        call()
    (found,) = error.value.diagnostics
    return found.code, " ".join((found.message, *found.help, *found.notes))


# ------------------------------------------------------------------ keys twice
@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("d.jsonl", '{"text": "a", "label": 0}\n\n{"text": "b", "label": 0, "label": 1}\n', 3),
        ("d.jsonl", '{"text": {"x": 1, "x": 1}, "label": 0}\n', 1),
        ("d.json", '[\n {"text": "a", "label": 0},\n {"text": "b",\n "label": 0, "label": 1}]', 3),
        ("d.json", '\n\n{"data": [\n{"a": [{"b": {}}]},\n{"a": [{},\n{"b": 1, "b": 1}]}]}', 6),
        ("d.json", '{"data": [{"a": "\\"b\\": {"}], "data": []}', 1),
    ],
)
@pytest.mark.parametrize(
    "read", [lambda p: read_table(p, "train", None, None), lambda p: qa.read(p, "train", None, None)]
)
def test_a_key_that_is_there_twice_is_refused_where_it_is(tmp_path, name, text, line, read):
    (tmp_path / name).write_text(text, "utf-8")
    code, said = refusal(lambda: read(str(tmp_path / name)))
    assert code == "E074"
    assert f"`{name}`" in said and "twice" in said and said.endswith(f"line {line}")


def test_a_key_that_is_there_twice_far_down_is_refused_too(tmp_path):
    (tmp_path / "d.json").write_text("[" * 900 + '{"a": 1, "a": 1}' + "]" * 900, "utf-8")
    code, said = refusal(lambda: read_table(str(tmp_path / "d.json"), "train", None, None))
    assert code == "E074" and "twice" in said


# ------------------------------------------------------------- names of classes
def parquet(path, described, **columns):
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(columns or {"text": ["a", "b"], "label": [0, 1]})
    value = described if isinstance(described, bytes) else json.dumps(described).encode()
    parquet.write_table(table.replace_schema_metadata({b"huggingface": value}), path)
    return str(path)


def described(**features):
    return {"info": {"features": features}}


@pytest.mark.parametrize(
    "label",
    [
        {"names": ["no", "yes"], "_type": "ClassLabel"},
        {"names": {"0": "no", "1": "yes"}, "_type": "ClassLabel"},
        [{"names": ["no", "yes"], "_type": "ClassLabel"}],
        {"feature": {"names": ["no", "yes"], "_type": "ClassLabel"}, "_type": "Sequence"},
    ],
)
def test_names_of_classes_are_read_in_every_form_that_datasets_wrote(tmp_path, label):
    table = read_table(parquet(tmp_path / "d.parquet", described(label=label)), "train", None, None)
    assert table.names("label") == ("no", "yes")


@pytest.mark.parametrize(
    "what",
    [
        described(label={"names": "no,yes", "_type": "ClassLabel"}),
        described(label={"names": [], "_type": "ClassLabel"}),
        described(label={"names": None, "_type": "ClassLabel"}),
        described(label={"names": [0, 1], "_type": "ClassLabel"}),
        described(label={"names": {"1": "no", "0": "yes"}, "_type": "ClassLabel"}),
        {"info": {"features": ["label"]}},
        {"info": []},
        [],
        b"{nope",
        b"\xff",
    ],
)
def test_names_of_classes_in_another_form_are_not_passed_over(tmp_path, what):
    path = parquet(tmp_path / "d.parquet", what)
    assert refusal(lambda: sc.TASK.open_split(path, "train"))[0] == "E074"
    named = sc.decide({"train": sc.TASK.read(path, "train", None, None)}, Meaning(classes=("no", "yes")))
    assert [e.label for e in sc.TASK.open_split(path, "train", None, None, named)] == ["no", "yes"]


@pytest.mark.parametrize("what", [{}, {"info": {}}, described(), described(label={"dtype": "int64", "_type": "Value"})])
def test_files_that_describe_no_classes_have_none(tmp_path, what):
    assert [e.label for e in sc.TASK.open_split(parquet(tmp_path / "d.parquet", what), "train")] == ["0", "1"]


def test_names_that_are_written_out_need_no_others(tmp_path):
    path = parquet(tmp_path / "d.parquet", b"{nope", text=["a", "b"], label=["no", "yes"])
    assert [e.label for e in sc.TASK.open_split(path, "train")] == ["no", "yes"]


def test_more_than_a_thousand_labels_are_classes_where_they_are_listed(tmp_path):
    names = tuple(f"n{i}" for i in range(1001))
    make_classes(names, "`d`", "label", "label", names)
    code, said = refusal(lambda: make_classes(names, "`d`", "tags", "words", ()))
    assert code == "E074"
    assert 'columns { tags = "..." }' in said and "read from `words`" in said


# ------------------------------------------------------------------- unlabelled
@pytest.mark.parametrize(
    ("task", "column", "row"),
    [(sc, "label", {"text": "a"}), (mc, "answer", {"question": "q", "choices": ["x", "y"]})],
)
def test_labels_of_the_recipe_that_do_not_occur_are_known(tmp_path, task, column, row):
    (tmp_path / "d.json").write_text(json.dumps([{**row, column: v} for v in ("-", "x", "y")]), "utf-8")
    table = task.TASK.read(str(tmp_path / "d.json"), "train", None, None)
    found = task.decide({"train": table}, Meaning(unlabelled=("-", "None")))
    assert (found.left_out, found.unmatched) == ({"train": 1}, ("None",))


# ----------------------------------------------------------------- cut, dropped
def test_inputs_that_are_cut_are_counted(model):
    reader = sc.TASK.load_tokenizer(model)
    texts = [sc.Example(t, None, "a") for t in ("gold", "gold of peru the", "gold of peru the gold")]
    assert [sc.featurize(texts, reader, n, 0, ("a", "b")).cut for n in (4, 6, 7)] == [2, 1, 0]
    asked = [mc.Example("gold of", ("peru", "peru the gold of"), 0), mc.Example("gold", ("of", "the"), 1)]
    assert [mc.featurize(asked, reader, n, 0).cut for n in (5, 8, 9)] == [1, 1, 0]


def test_questions_that_are_cut_are_counted_and_passages_are_not(model):
    tokenizer = qa.load_tokenizer(model)
    asked = [Example(str(n), " ".join(["gold"] * n), "the gold of peru " * 9, ("gold",), (4,)) for n in (3, 30)]
    assert qa.featurize(asked, tokenizer, 32, 4).cut == 1


@pytest.mark.parametrize(("words", "dropped"), [(["gold", "of"], 0), (["gold", "", "of", ""], 2), (["", "of"], 1)])
def test_tagged_words_without_a_token_are_counted_and_cut_ones_are_not_among_them(model, words, dropped):
    reader = tc.load_tokenizer(model)
    rows = tc.featurize([tc.Example(tuple(words), ("O",) * len(words))], reader, 16, 0, ("O", "B-X"))
    assert (rows.tokenless, rows.cut) == (dropped, 0)
    long = (*words, *["peru"] * 20)
    rows = tc.featurize([tc.Example(long, ("O",) * len(long))], reader, 16, 0, ("O", "B-X"))
    assert (rows.tokenless, rows.cut) == (dropped, 1)


def test_what_is_counted_of_features_is_kept_by_the_plan(model):
    @dataclass
    class Stub:
        lost: tuple[str, ...] = ("a",)
        cut: int = 2
        sequences: int = 1

        def __len__(self) -> int:
            return 3

    assert planned._counts(np.zeros(4), Stub()).model_dump() == {
        "examples": 4,
        "items": 3,
        "sequences": 1,
        "lost": 1,
        "cut": 2,
        "tokenless": 0,
        "blank": 0,
        "unanswered": 0,
        "tokens_read": 0,
        "tokens_predicted": 0,
    }


# ---------------------------------------------------------------- missing values
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".json"])
@pytest.mark.parametrize("value", ["NaN", "nan", "-1", "-2.0", ""])
def test_a_missing_label_is_refused_in_every_format_and_can_be_left_out(tmp_path, ending, value):
    path = tmp_path / f"d{ending}"
    rows = [("text", "label"), ("gold", "no"), ("peru", value), ("of", "yes")]
    if ending == ".json":
        path.write_text(json.dumps([dict(zip(rows[0], row, strict=True)) for row in rows[1:]]), "utf-8")
    else:
        path.write_text("".join(("," if ending == ".csv" else "\t").join(row) + "\n" for row in rows), "utf-8")
    code, said = refusal(lambda: sc.TASK.open_split(str(path), "train"))
    assert code == "E075"
    shown = "-2" if value == "-2.0" else value
    assert f'unlabelled = ["{shown}"]' in said and ("public test sets" in said) == value.startswith("-")
    meant = sc.decide({"train": sc.TASK.read(str(path), "train", None, None)}, Meaning(unlabelled=(shown,)))
    assert [e.label for e in sc.TASK.open_split(str(path), "train", None, None, meant)] == ["no", "yes"]


@pytest.mark.parametrize("classes", [("-1", "1"), ("1", "-1"), ("-1", "0", "1")])
@pytest.mark.parametrize("kind", [int, str, float])
def test_negative_numbers_are_classes_where_they_are_listed(tmp_path, classes, kind):
    (tmp_path / "d.json").write_text(json.dumps([{"text": "a", "label": kind(n)} for n in (-1, 1)]), "utf-8")
    table = sc.TASK.read(str(tmp_path / "d.json"), "train", None, None)
    meant = sc.decide({"train": table}, Meaning(classes=classes))
    found = sc.TASK.open_split(str(tmp_path / "d.json"), "train", None, None, meant)
    assert [e.label for e in found] == ["-1", "1"]
    assert sc.TASK.classes.names(found) == classes


@pytest.mark.parametrize("tag", [None, -100, "", "nan"])
def test_the_remedy_for_a_missing_tag_is_one_that_works(tmp_path, tag):
    (tmp_path / "d.json").write_text(json.dumps([{"tokens": ["a", "b"], "tags": ["O", tag]}]), "utf-8")
    code, said = refusal(lambda: tc.TASK.open_split(str(tmp_path / "d.json"), "train"))
    assert code == "E075" and "unlabelled" not in said and "remove it" in said


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (None, '`unlabelled = ["null"]`'),
        (-1, '`unlabelled = ["-1"]`'),
        ("", '`unlabelled = [""]`'),
        ("7", "in one form"),
        ("A", "in one form"),
    ],
)
def test_the_remedy_for_a_missing_answer_is_one_that_works(tmp_path, answer, remedy):
    rows = [{"question": "q", "choices": ["x", "y"], "answer": a} for a in (0, 1, answer)]
    (tmp_path / "d.json").write_text(json.dumps(rows), "utf-8")
    code, said = refusal(lambda: mc.TASK.open_split(str(tmp_path / "d.json"), "train"))
    assert code == "E075" and remedy in said


@pytest.mark.parametrize(("names", "found"), [(["None", "a"], "None"), (["n/a", "b"], "n/a"), (["no", "nan"], None)])
def test_classes_that_look_like_missing_values_are_known(names, found):
    assert looks_missing(names) == found


def test_blank_texts_are_counted(model):
    reader = sc.TASK.load_tokenizer(model)
    pairs = [sc.Example(*texts, "a") for texts in (("gold", " "), ("", "of"), ("gold", "of"), ("gold", None))]
    assert sc.featurize(pairs, reader, 16, 0, ("a", "b")).blank == 2
    asked = [mc.Example("", ("gold", "of"), 0), mc.Example("gold", ("of", ""), 0)]
    assert mc.featurize(asked, reader, 16, 0).blank == 1
    questions = [
        Example(str(i), q, c, (), ()) for i, (q, c) in enumerate([("", "gold"), ("gold", " "), ("gold", "of")])
    ]
    assert qa.featurize(questions, qa.load_tokenizer(model), 32, 4).blank == 2


# ----------------------------------------------------------------- what is said
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("d.csv", 'text,label\n"go\nld",no\nperu\n', "on line 4 has 1 cell, the first line has 2"),
        ("d.tsv", "text\tlabel\n\ngold\tno\tx\n", "on line 3 has 3 cells, the first line has 2"),
        ("d.csv", "text;label\ngold;no\n", "separates cells with commas"),
        ("d.csv", "Text, Label\ngold,no\n", '`columns { text = "Text" }`'),
    ],
)
def test_a_table_that_cannot_be_read_says_where_and_what_to_write(tmp_path, name, text, said):
    (tmp_path / name).write_text(text, "utf-8")
    code, told = refusal(lambda: sc.TASK.open_split(str(tmp_path / name), "train"))
    assert code == "E074" and said in told


def test_accents_that_are_stored_in_two_ways_are_named(tmp_path):
    row = {"question": "q", "context": "caf\u00e9 gold", "answers": {"text": ["cafe\u0301"], "answer_start": [0]}}
    (tmp_path / "d.json").write_text(json.dumps([row]), "utf-8")
    code, said = refusal(lambda: qa.TASK.open_split(str(tmp_path / "d.json"), "train"))
    assert code == "E075" and "normal form" in said
