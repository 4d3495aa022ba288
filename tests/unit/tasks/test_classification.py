"""Texts, pairs, questions with choices, and tags: examples, their labels, their scores."""

import itertools
import json

import numpy as np
import pytest

from recipelang.source import RecipeError
from recipelang.tasks import (
    class_scores as scores,
    entities,
    multiple_choice as mc,
    sequence_classification as sc,
    token_classification as tc,
)
from recipelang.tasks.labels import fits, names_of
from tests.conftest import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("m"))


def examples(task, folder, *rows, columns=None):
    (folder / "d.json").write_text(json.dumps(list(rows)), "utf-8")
    return task.TASK.open_split(str(folder / "d.json"), "train", columns)


def refused(task, folder, *rows, columns=None):
    with pytest.raises(RecipeError) as error:
        examples(task, folder, *rows, columns=columns)
    (found,) = error.value.diagnostics
    return found.code, " ".join((found.message, *found.help, *found.notes))


# ------------------------------------------------------------------- texts, pairs
@pytest.mark.parametrize(
    ("row", "columns", "expected"),
    [
        ({"sentence": "a", "label": 0}, {}, ("a", None)),
        ({"idx": 3, "premise": "a", "hypothesis": "b", "label": 0}, {}, ("a", "b")),
        ({"question": "a", "sentence": "b", "label": 0}, {}, ("a", "b")),
        ({"question1": "a", "question2": "b", "gold_label": "x"}, {}, ("a", "b")),
        ({"premise": "a", "hypothesis": "b", "label": 0}, {"text": "hypothesis"}, ("b", None)),
        ({"x": "a", "y": "b", "z": 0}, {"text": "x", "pair": "y", "label": "z"}, ("a", "b")),
    ],
)
def test_texts_are_found_by_their_usual_names_or_as_named(tmp_path, row, columns, expected):
    other = {k: 1 if v == 0 else v + "y" for k, v in row.items() if k != "idx"} | {"idx": 4}
    found = examples(sc, tmp_path, row, other, columns=columns)
    assert (found[0].text, found[0].pair) == expected


def test_names_of_classes_are_in_the_order_of_numbers_or_of_the_alphabet():
    assert names_of(["10", "9", "0"], ()) == ("0", "9", "10")
    assert names_of(["neutral", "entailment"], ()) == ("entailment", "neutral")
    assert names_of(["no"], ("yes", "no", "maybe")) == ("yes", "no", "maybe")


def test_labels_mean_a_class_by_name_whatever_its_case_or_by_number():
    own = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")
    assert [fits(label, own) for label in ("entailment", "0", "NEUTRAL", "3", "other")] == [2, 0, 1, None, None]
    assert fits("0", ("1", "0")) == 1  # a number that is a name is not a place


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_scores_equal_torchmetrics(classes):
    import torch
    from torchmetrics.functional import classification as theirs

    random = np.random.default_rng(classes)
    for _ in range(20):
        right = random.integers(classes, size=60)
        said = np.where(random.random(60) < 0.5, right, random.integers(max(2, classes - 1), size=60))
        counts = scores.confusion(said, right, classes)
        a, b = torch.from_numpy(said), torch.from_numpy(right)
        assert scores.accuracy(counts) == pytest.approx(float((a == b).float().mean()))
        many = {"num_classes": classes}
        f1 = theirs.binary_f1_score(a, b) if classes == 2 else theirs.multiclass_f1_score(a, b, **many, average="macro")
        assert scores.f1(counts) == pytest.approx(float(f1), abs=1e-6)
        matthews = theirs.multiclass_matthews_corrcoef(a, b, **many)
        assert scores.matthews(counts) == pytest.approx(float(matthews), abs=1e-6)


def test_scores_of_a_model_that_says_one_class_only():
    counts = scores.confusion(np.zeros(4, int), np.array([0, 0, 1, 1]), 2)
    assert (scores.accuracy(counts), scores.f1(counts), scores.matthews(counts)) == (0.5, 0.0, 0.0)


def test_rows_are_padded_with_masks_types_and_labels(tmp_path, model):
    found = examples(
        sc,
        tmp_path,
        {"premise": "the gold", "hypothesis": "is iron in peru", "label": "b"},
        {"premise": "a", "hypothesis": "of", "label": "a"},
    )
    rows = sc.featurize(found, sc.TASK.load_tokenizer(model), 16, 0, ("a", "b"))
    batch = rows.batch([1, 0])
    assert batch["labels"].tolist() == [0, 1]
    assert batch["attention_mask"].sum(1).tolist() == [5, 9] == rows.lengths[[1, 0]].tolist()
    assert batch["input_ids"].shape == (2, 16)
    assert batch["token_type_ids"][1].tolist() == [0] * 4 + [1] * 5 + [0] * 7
    assert batch["input_ids"][0, 5:].tolist() == [0] * 11
    short = sc.featurize(found, sc.TASK.load_tokenizer(model), 6, 0, ("a", "b"))
    assert short.lengths.tolist() == [6, 5]  # the longer text of a pair is cut


# -------------------------------------------------------------------- choices
NESTED = {
    "answerKey": "B",
    "question": {"stem": "where?", "choices": [{"label": "A", "text": "x"}, {"label": "B", "text": "y"}]},
}


@pytest.mark.parametrize(
    ("row", "first", "choices", "answer"),
    [
        (NESTED, "where?", ("x", "y"), 1),
        ({"question": "q", "choices": {"label": ["1", "2"], "text": ["x", "y"]}, "answerKey": "2"}, "q", ("x", "y"), 1),
        ({"question": "q", "choices": ["x", "y", "z"], "answer": "z"}, "q", ("x", "y", "z"), 2),
        ({"question": "q", "choices": ["x", "y"], "answer": 1}, "q", ("x", "y"), 1),
        ({"ctx": "q", "endings": ["x", "y"], "label": "0"}, "q", ("x", "y"), 0),
        (
            {"sentence": "it fell as _ was heavy.", "option1": "x", "option2": "y", "answer": "1"},
            "it fell as",
            ("x was heavy.", "y was heavy."),
            0,
        ),
        ({"sent1": "s.", "sent2": "he", "ending0": "x", "ending1": "y", "label": 1}, "s.", ("he x", "he y"), 1),
        ({"goal": "q", "sol1": "x", "sol2": "y", "label": 0}, "q", ("x", "y"), 0),
    ],
)
def test_questions_of_the_usual_shapes(tmp_path, row, first, choices, answer):
    (found,) = examples(mc, tmp_path, row)
    assert found == mc.Example(first, choices, answer)


def test_a_question_is_one_row_of_several_sequences(tmp_path, model):
    rows = [{"question": "what is", "choices": ["the gold", "a", "iron of peru"], "answer": i} for i in (2, 0)]
    features = mc.featurize(examples(mc, tmp_path, *rows), mc.TASK.load_tokenizer(model), 16, 0)
    assert (len(features), features.sequences) == (2, 3)
    batch = features.batch([0, 1])
    assert batch["input_ids"].shape == (2, 3, 8)
    assert batch["attention_mask"].sum(-1).tolist() == [[7, 6, 8]] * 2
    assert batch["labels"].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        ({"question": "q", "choices": ["x", "y"], "answer": "C"}, "E075", "none of its choices"),
        ({"question": "q", "choices": ["x", "y"], "answer": ""}, "E075", "skip these questions"),
        ({"question": "q", "choices": "x", "answer": "A"}, "E075", "are str, not a list"),
        ({"question": "q", "choices": ["x"], "answer": "A"}, "E075", "fewer than two choices"),
        ({"asked": "q", "choices": ["x", "y"], "answer": "A"}, "E074", "its columns are `asked`"),
        ({"question": "q", "alternatives": ["x", "y"], "answer": "A"}, "E074", "no column `choices`"),
    ],
)
def test_questions_without_sound_choices_say_so(tmp_path, row, code, said):
    found = refused(mc, tmp_path, row)
    assert found[0] == code
    assert said in found[1]


# ------------------------------------------------------------------------- tags
def published(tags):
    """Chunks as CoNLL's `conlleval` delimits them: its two tables of when one begins and ends, word for word."""

    def ends(a, b, kind, other):
        return a in "ES" or (a in "BI" and b in "BSO") or (a != "O" and kind != other)

    def begins(a, b, kind, other):
        return b in "BS" or (a in "ESO" and b in "EI") or (b != "O" and kind != other)

    found, first = [], 0
    split = [("O", ""), *((t[0], t[2:]) for t in tags), ("O", "")]
    for at, ((a, kind), (b, other)) in enumerate(itertools.pairwise(split)):
        if ends(a, b, kind, other):
            found.append((kind, first, at))
        if begins(a, b, kind, other):
            first = at
    return found


def test_entities_are_those_of_the_published_evaluation():
    random = np.random.default_rng(0)
    names = ["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in ("PER", "LOC"))]
    for _ in range(500):
        tags = random.choice(names, size=12).tolist()
        assert entities.entities(tags) == published(tags), tags


def test_entity_f1_of_a_known_case():
    right = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    said = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    assert entities.f1(said, right) == 0.5  # one of two entities is right, on both sides
    assert entities.f1([["O"]], [["O"]]) == 0.0


def test_a_word_is_judged_by_its_first_token_and_cut_words_are_missed(tmp_path, model):
    row = {"tokens": ["gold", "seine-paris", "of", "peru"], "ner_tags": ["O", "B-LOC", "O", "B-LOC"]}
    found = examples(tc, tmp_path, row, {"tokens": ["a"], "ner_tags": ["O"]})
    names = tc.TASK.classes.names(found)
    assert names == ("B-LOC", "O")
    features = tc.featurize(found, tc.load_tokenizer(model), 7, 0, names)
    labels = features.batch([0])["labels"][0].tolist()
    assert labels == [-100, 1, 0, -100, -100, 1, -100]  # `seine-paris` has three tokens, `peru` no room
    said = np.full((2, 8), -np.inf, np.float32)
    said[:, :7] = [[9, 1, 0, 9, 9, 1, 9], [9, 1, 9, 9, 9, 9, 9]]
    assert tc.measure({"said": said}, features, found) == {"f1": 2 / 3, "accuracy": 4 / 5}


def test_tags_are_completed_so_that_a_split_may_go_on_with_what_another_begins(tmp_path):
    row = {"words": "a b c", "tags": "B-X B-Y I-Y"}
    assert tc.TASK.classes.names(examples(tc, tmp_path, row)) == ("B-X", "B-Y", "I-X", "I-Y")
    assert (
        tc.TASK.classes.refuses("f1", ("NOUN", "VERB")) == "`f1` counts entities, and `NOUN` is not a tag like `B-PER`"
    )
    assert tc.TASK.classes.refuses("accuracy", ("NOUN", "VERB")) is None


def test_words_and_tags_must_be_as_many(tmp_path):
    assert "2 words and 1 tag give" in refused(tc, tmp_path, {"tokens": ["a", "b"], "tags": ["O"]})[1]


# --------------------------------------------------------------------- real files
@pytest.mark.parametrize(
    ("path", "columns", "count", "names"),
    [
        ("sst2/train.tsv", {}, 67_349, ("0", "1")),
        ("sst2/dev.tsv", {}, 872, ("0", "1")),
        ("rte/train.tsv", {}, 2_490, ("entailment", "not_entailment")),
        (
            "mnli_sample/mnli_matched.tsv",
            {"label": "1", "text": "2", "pair": "3"},
            1_000,
            ("contradiction", "entailment", "neutral"),
        ),
    ],
)
def test_real_texts_are_read(shared, path, columns, count, names):
    found = sc.TASK.open_split(str(shared / "data" / path), "train", columns)
    assert (len(found), sc.TASK.classes.names(found)) == (count, names)


def test_real_questions_are_read(shared):
    found = mc.TASK.open_split(str(shared / "data" / "commonsenseqa" / "dev_rand_split.jsonl"), "dev")
    assert len(found) == 1_221
    assert {len(e.choices) for e in found} == {5}
    assert found[0].choices[found[0].answer] == "bank"
