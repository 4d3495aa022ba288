"""What columns, labels and answers mean, decided over all splits together."""

import datetime
import json
from decimal import Decimal

import pytest

from recipelang.report.data_screen import _put_together
from recipelang.source import RecipeError
from recipelang.tasks import (
    causal_lm as lm,
    class_scores as scores,
    multiple_choice as mc,
    sequence_classification as sc,
    token_classification as tc,
)
from recipelang.tasks.labels import differ, fits, label_text, positive
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.table import Table


def decided(task, folder, wanted=None, **splits):
    """The meaning of splits, and their examples read by it."""
    wanted = wanted or Meaning()
    for name, rows in splits.items():
        (folder / f"{name}.json").write_text(json.dumps(rows), "utf-8")
    paths = {name: str(folder / f"{name}.json") for name in splits}
    meaning = task.decide({n: task.TASK.read(p, n, wanted.columns, None) for n, p in paths.items()}, wanted)
    return meaning, {n: task.TASK.open_split(p, n, wanted.columns, None, meaning) for n, p in paths.items()}


def refusal(call):
    with pytest.raises(RecipeError) as error:
        call()
    (found,) = error.value.diagnostics
    return found.code, " ".join((found.message, *found.help, *found.notes))


# --------------------------------------------------------------------- columns
def test_a_column_is_chosen_that_all_splits_have(tmp_path):
    train = [{"sentence": "other", "text": "meant", "label": 0, "idx": 1}]
    meaning, found = decided(sc, tmp_path, train=train, validation=[{"text": "meant", "label": 1, "source": "s"}])
    assert meaning.columns == {"text": "text", "label": "label"}
    assert meaning.unused == ("sentence", "idx", "source")
    assert {e.text for split in found.values() for e in split} == {"meant"}


@pytest.mark.parametrize(
    ("task", "row"),
    [
        (sc, {"sentence": "a", "label": 0}),
        (mc, {"question": "q", "choices": ["x", "y"], "answer": "A"}),
        (tc, {"tokens": ["a"], "tags": ["O"]}),
        (lm, {"text": "a"}),
    ],
)
def test_a_split_that_lacks_a_column_of_the_others_is_refused(tmp_path, task, row):
    other = {f"my {key}" if i == 0 else key: value for i, (key, value) in enumerate(row.items())}
    code, said = refusal(lambda: decided(task, tmp_path, train=[row], validation=[other]))
    assert code == "E074"
    assert "`validation.json` has no column" in said


# ---------------------------------------------------------------------- labels
@pytest.mark.parametrize("ending", [".json", ".jsonl", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("text", ["2.4", "0.25", "1e-1", "2,4"])
def test_scores_are_refused_as_classes_in_every_format(tmp_path, ending, text):
    path = tmp_path / f"d{ending}"
    value = text if "," in text or ending in (".csv", ".tsv") else float(text)
    rows = [{"sentence": "a", "label": 1}, {"sentence": "b", "label": value}]
    rows = [{**r, "label": type(value)(r["label"])} for r in rows]
    separator = "\t" if ending == ".tsv" else ","
    match ending:
        case ".json":
            path.write_text(json.dumps(rows), "utf-8")
        case ".jsonl":
            path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
        case ".parquet":
            import pyarrow
            from pyarrow import parquet

            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        case _:
            lines = [["sentence", "label"], *([r["sentence"], f'"{r["label"]}"'] for r in rows)]
            text = "\n".join(separator.join(line) for line in lines)
            path.write_text(text if ending == ".csv" else text.replace('"', ""), "utf-8")
    assert refusal(lambda: sc.TASK.open_split(str(path), "train"))[0] == "E149"


@pytest.mark.parametrize("one", [1, 1.0, "1", "1.0", "1."])
def test_a_whole_number_is_one_class_however_it_is_written(tmp_path, one):
    _, found = decided(sc, tmp_path, train=[{"text": "a", "label": one}, {"text": "b", "label": 0}])
    assert [e.label for e in found["train"]] == ["1", "0"]


def test_no_consensus_is_no_label_and_keeps_its_number(tmp_path):
    train = [{"gold_label": g, "sentence1": "a", "sentence2": "b"} for g in ("neutral", "-", "entailment", "-")]
    dev = [{"gold_label": "-", "sentence1": "a", "sentence2": "b"}, train[0]]
    meaning, found = decided(sc, tmp_path, train=train, validation=dev)
    assert (meaning.unlabelled, meaning.left_out) == (("-",), {"train": 2, "validation": 1})
    assert sc.TASK.classes.names(found["train"]) == ("entailment", "neutral")
    assert [e.record for e in found["train"]] == [0, 2]


def test_a_sign_beside_other_signs_is_a_label(tmp_path):
    meaning, found = decided(sc, tmp_path, train=[{"text": "a", "label": "+"}, {"text": "b", "label": "-"}])
    assert (meaning.left_out, sc.TASK.classes.names(found["train"])) == ({}, ("+", "-"))


@pytest.mark.parametrize(("value", "name"), [(-1, "-1"), (None, "null"), ("", ""), ("unknown", "unknown")])
def test_a_recipe_says_which_labels_are_none(tmp_path, value, name):
    rows = [{"text": "a", "label": value}, {"text": "b", "label": 0}, {"text": "c", "label": 1}]
    meaning, found = decided(sc, tmp_path, Meaning(unlabelled=(name,)), train=rows)
    assert (meaning.left_out, len(found["train"])) == ({"train": 1}, 2)
    only = refusal(lambda: decided(sc, tmp_path, Meaning(unlabelled=(name,)), train=rows[:1]))
    assert only == ("E074", "no example of `train.json` has a label name another split")


def test_a_split_of_one_class_is_read_and_is_no_set_of_classes(tmp_path):
    _, found = decided(sc, tmp_path, validation=[{"text": "a", "label": 1}])
    assert len(found["validation"]) == 1
    assert refusal(lambda: sc.TASK.classes.names(found["validation"]))[0] == "E074"


def test_how_labels_are_written_is_known_of_every_split(tmp_path):
    rows = [{"text": "a", "label": "yes"}, {"text": "b", "label": "no"}]
    numbers = [{"text": "a", "label": 1}]
    meaning, _ = decided(sc, tmp_path, train=rows, validation=numbers, test=[*rows, *numbers])
    assert meaning.labels == {"train": "names", "validation": "numbers", "test": "both"}
    meaning, found = decided(sc, tmp_path, Meaning(classes=("no", "yes")), train=rows, validation=numbers)
    assert meaning.labels == {"train": "names", "validation": "names"}
    assert [e.label for e in found["validation"]] == ["yes"]


@pytest.mark.parametrize(
    ("value", "code"), [(10**400, None), ("9" * 400, None), ([1], "E075"), ({"a": 1}, "E075"), (float("nan"), "E075")]
)
def test_a_value_of_any_kind_is_a_label_or_refused(tmp_path, value, code):
    rows = [{"text": "a", "label": value}, {"text": "b", "label": 1}]
    if code:
        assert refusal(lambda: decided(sc, tmp_path, train=rows))[0] == code
    else:
        assert decided(sc, tmp_path, train=rows)[1]["train"][0].label == str(value)


def test_numbers_beyond_the_names_are_refused(tmp_path):
    rows = [{"text": "a", "label": 2}]
    assert refusal(lambda: decided(sc, tmp_path, Meaning(classes=("no", "yes")), train=rows))[0] == "E075"


def test_numbered_tags_are_in_the_order_of_their_numbers(tmp_path):
    rows = [{"tokens": ["a"] * 12, "tags": list(range(12))}]
    assert tc.TASK.classes.names(decided(tc, tmp_path, train=rows)[1]["train"]) == tuple(map(str, range(12)))


# -------------------------------------------------------------- the class of F1
@pytest.mark.parametrize(
    ("names", "counts", "ordered", "expected"),
    [
        (("hate", "nothate"), {"hate": 9, "nothate": 1}, False, ("hate", True)),
        (("entailment", "not_entailment"), {}, True, ("entailment", True)),
        (("non-toxic", "toxic"), {}, False, ("toxic", True)),
        (("yes", "no"), {}, True, ("yes", True)),
        (("negative", "positive"), {}, False, ("positive", True)),
        (("0", "1"), {"0": 1, "1": 9}, False, ("1", True)),
        (("LABEL_0", "LABEL_1"), {"LABEL_0": 1, "LABEL_1": 9}, False, ("LABEL_1", True)),
        (("spam", "ham"), {"spam": 1, "ham": 9}, True, ("ham", True)),
        (("mail", "spam"), {"mail": 9, "spam": 1}, False, ("spam", False)),
        (("abuse", "mail"), {"abuse": 1, "mail": 9}, False, ("abuse", False)),
        (("a", "b"), {"a": 3, "b": 3}, False, ("b", False)),
    ],
)
def test_the_positive_class_has_a_rule(names, counts, ordered, expected):
    assert positive(names, counts, ordered=ordered) == expected


def test_f1_is_that_of_the_positive_class():
    counts = scores.confusion([0, 0, 1, 1, 0, 2, 2, 1], [0, 0, 0, 1, 1, 2, 2, 2], 3)
    assert [scores.f1(counts, cls) for cls in range(3)] == [4 / 6, 2 / 5, 4 / 5]
    assert scores.f1(counts) == pytest.approx((4 / 6 + 2 / 5 + 4 / 5) / 3)


# --------------------------------------------------------------------- answers
RACE = {"example_id": "h1", "article": "it is red", "question": "what?", "options": ["red", "blue"], "answer": "A"}


def test_race_reads_its_article_in_single_questions_and_in_its_own_records(tmp_path):
    gap = {**RACE, "question": "it is _ .", "answer": "B"}
    meaning, found = decided(mc, tmp_path, train=[RACE, gap])
    assert (meaning.answers, meaning.unused) == ("letter", ("example_id",))
    expected = (
        mc.Example("it is red", ("what? red", "what? blue"), 0),
        mc.Example("it is red", ("it is red .", "it is blue ."), 1),
    )
    assert found["train"] == expected
    own = {"id": "h1", "article": "it is red", "questions": ["what?", "it is _ ."], "answers": ["A", "B"]}
    own["options"] = [RACE["options"]] * 2
    assert decided(mc, tmp_path, train=[own])[1]["train"] == expected


def test_copa_reads_its_premise_and_asks_in_words(tmp_path):
    rows = [
        {"premise": "p", "choice1": "x", "choice2": "y", "question": kind, "label": i, "idx": i}
        for i, kind in enumerate(("cause", "effect"))
    ]
    meaning, found = decided(mc, tmp_path, train=rows, validation=rows[1:])
    assert (meaning.answers, meaning.causes, meaning.unused) == ("place", True, ("idx",))
    assert found["train"][0] == mc.Example("p", tuple(f"What was the cause of this? {c}" for c in "xy"), 0)
    assert found["validation"][0] == mc.Example("p", tuple(f"What happened as a result? {c}" for c in "xy"), 1)


@pytest.mark.parametrize(
    ("names", "values", "expected"),
    [
        (("sol1", "sol2"), ([0, 1], [1]), "place"),  # PIQA
        (("sol1", "sol2"), ([1, 2], [1]), "number"),
        (("option1", "option2"), (["1"], ["1"]), "number"),  # WinoGrande
        (("choice1", "choice2"), ([1], [1]), "place"),  # COPA
        (("ending0", "ending1"), ([1], [0]), "place"),  # SWAG
    ],
)
def test_an_answer_means_the_same_in_every_split(tmp_path, names, values, expected):
    train, dev = ([{"goal": "g", names[0]: "x", names[1]: "y", "label": v} for v in each] for each in values)
    meaning, found = decided(mc, tmp_path, train=train, validation=dev)
    assert meaning.answers == expected
    first = 0 if expected == "place" else 1
    for split, each in zip(found.values(), values, strict=True):
        assert [e.answer for e in split] == [int(v) - first for v in each]


def test_answers_that_can_be_read_in_two_ways_are_refused_until_one_is_said(tmp_path):
    rows = [{"question": "q", "choices": ["1", "2", "3"], "answer": "2"}]
    code, said = refusal(lambda: decided(mc, tmp_path, train=rows))
    assert code == "E148"
    assert "`answer_is = text`" in said
    for way, place in (("text", 1), ("place", 2), ("number", 1)):
        assert decided(mc, tmp_path, Meaning(answers=way), train=rows)[1]["train"][0].answer == place


def test_keys_of_the_data_come_before_all_other_readings(tmp_path):
    choices = {"label": ["2", "1"], "text": ["1", "2"]}
    rows = [{"question": "q", "choices": choices, "answerKey": k} for k in ("1", "2")]
    meaning, found = decided(mc, tmp_path, train=rows)
    assert (meaning.answers, [e.answer for e in found["train"]]) == ("key", [1, 0])


def test_labels_in_a_file_beside_are_named(tmp_path):
    (tmp_path / "train-labels.lst").write_text("0\n", "utf-8")
    (tmp_path / "train.jsonl").write_text(json.dumps({"goal": "g", "sol1": "x", "sol2": "y"}), "utf-8")
    code, said = refusal(lambda: mc.TASK.open_split(str(tmp_path / "train.jsonl"), "train"))
    assert code == "E074"
    assert "copy each line of `train-labels.lst` into its record as `label`" in said


def test_snli_s_own_table_is_read(tmp_path):
    lines = [
        "gold_label\tsentence1_parse\tsentence1\tsentence2\tlabel1",
        'neutral\t(ROOT "x)\ta "man"\tsits\tneutral',
        "-\t(ROOT)\ta\tb\tneutral",
        "entailment\t(ROOT)\ta\tb\tentailment",
    ]
    (tmp_path / "snli_1.0_dev.txt").write_text("\n".join(lines) + "\n", "utf-8")
    found = sc.TASK.open_split(str(tmp_path / "snli_1.0_dev.txt"), "validation")
    assert [(e.text, e.pair, e.label) for e in found] == [('a "man"', "sits", "neutral"), ("a", "b", "entailment")]


def test_a_label_that_is_none_of_the_classes_given_is_refused(tmp_path):
    rows = [{"text": "a", "label": "YES"}, {"text": "b", "label": 0}]
    wanted = Meaning(classes=("no", "yes"))
    assert [e.label for e in decided(sc, tmp_path, wanted, train=rows)[1]["train"]] == ["yes", "no"]
    code, said = refusal(lambda: decided(sc, tmp_path, wanted, train=[*rows, {"text": "c", "label": "maybe"}]))
    assert code == "E075"
    assert "`maybe` is not in `classes`" in said


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        (sc, [{"text": "a", "label": label} for label in ("good", "bad", "Good")]),
        (tc, [{"tokens": ["a", "b", "c"], "tags": ["NN", "VB", "Nn"]}]),
    ],
)
def test_labels_that_differ_in_case_only_are_refused_unless_they_are_named(tmp_path, task, rows):
    _, found = decided(task, tmp_path, train=rows)
    assert refusal(lambda: differ(task.TASK.classes.names(found["train"])))[0] == "E151"
    names = tuple(dict.fromkeys(r["label"] for r in rows)) if task is sc else tuple(rows[0]["tags"])
    _, found = decided(task, tmp_path, Meaning(classes=names), train=rows)
    assert task.TASK.classes.names(found["train"]) == names


@pytest.mark.parametrize("answers", [(0, 2), ("A", 1), ("x", "B"), (1, 0, 2)])
def test_answers_are_not_read_each_in_its_own_way(tmp_path, answers):
    rows = [{"question": "q", "choices": ["x", "y"], "answer": a} for a in answers]
    code, said = refusal(lambda: decided(mc, tmp_path, train=rows))
    assert code == "E075"
    assert "matches none of its choices" in said


def test_letters_are_letters_in_either_case(tmp_path):
    rows = [{"question": "q", "choices": ["x", "y"], "answer": a} for a in ("a", "B")]
    meaning, found = decided(mc, tmp_path, train=rows)
    assert (meaning.answers, [e.answer for e in found["train"]]) == ("letter", [0, 1])


@pytest.mark.parametrize("other", ["cafe\u0301", "Cafe\u0301", "caf\u00e9\u200b", "\ufeffcaf\u00e9", " caf\u00e9"])
def test_labels_that_look_alike_are_one_label_or_refused(tmp_path, other):
    rows = [{"text": "a", "label": label} for label in ("caf\u00e9", "bar", other)]
    _, found = decided(sc, tmp_path, train=rows)
    names = sc.TASK.classes.names(found["train"])
    if len(names) > 2:
        assert refusal(lambda: differ(names))[0] == "E151"
    assert fits(other, ("bar", "caf\u00e9")) == 1


def test_labels_that_look_alike_are_told_as_they_are_stored():
    assert "'cafe\\u0301' and 'caf\\xe9'" in refusal(lambda: differ(["cafe\u0301", "caf\u00e9"]))[1]
    differ(["New York", "Newark", "\u2764", "\u2764\ufe0f\u200d\U0001f525"])  # others are others


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("classes", "labels", "expected"),
    [
        (("1", "0"), (0, 1), ["0", "1"]),  # an order, and no exchange
        (("0", "1"), (0, 1), ["0", "1"]),
        (("1", "2", "3"), (1, 3), ["1", "3"]),
        (("1", "2", "unknown"), (1, 2), ["1", "2"]),
        (("1", "2"), (0, 1), None),
        (("no", "yes"), (0, 1), ["no", "yes"]),
    ],
)
def test_classes_that_are_numbers_are_matched_by_name(tmp_path, classes, labels, expected, as_text):
    rows = [{"text": "a", "label": str(label) if as_text else label} for label in labels]
    if expected is None:
        assert refusal(lambda: decided(sc, tmp_path, Meaning(classes=classes), train=rows))[0] == "E075"
        return
    found = decided(sc, tmp_path, Meaning(classes=classes), train=rows)[1]["train"]
    assert ([e.label for e in found], sc.TASK.classes.names(found)) == (expected, classes)


def test_a_negative_number_is_not_said_to_be_nothing_only(tmp_path):
    rows = [{"text": "a", "label": label} for label in (1, -1)]
    assert '`classes = ["-1", ...]`' in refusal(lambda: decided(sc, tmp_path, train=rows))[1]


@pytest.mark.parametrize(
    ("value", "code"), [(Decimal("1.50"), "E149"), (datetime.date(2020, 1, 1), "E075"), (b"yes", "E075")]
)
def test_values_of_other_kinds_are_no_labels(value, code):
    table = Table("t.parquet", [{"label": value}])
    found, said = refusal(lambda: label_text(table, "label", value, 0))
    assert (found, "unlabelled" in said) == (code, False)
    assert label_text(table, "label", Decimal("2.0"), 0) == "2"


@pytest.mark.parametrize(
    ("choices", "answer", "why"),
    [
        (["man", "man", "red"], "man", "matches two choices"),
        ({"text": ["man", "dog"], "label": ["A", "A"]}, "A", "have the key `A`"),
    ],
)
def test_an_answer_that_two_choices_have_names_none(tmp_path, choices, answer, why):
    rows = [{"question": "q", "choices": choices, "answer": answer}]
    code, said = refusal(lambda: decided(mc, tmp_path, train=rows))
    assert code == "E075"
    assert why in said


@pytest.mark.parametrize("many", [2, 10, 12])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("spelling", ["option{}", "choice_{}"])
def test_all_numbered_choices_are_read_in_their_order(tmp_path, many, first, spelling):
    names = [spelling.format(n) for n in range(first, first + many)]
    row = {"question": "q", **{c: f"text of {c}" for c in reversed(names)}, "answer": f"text of {names[-1]}"}
    meaning, found = decided(mc, tmp_path, train=[row])
    assert found["train"][0].choices == tuple(f"text of {c}" for c in names)
    assert (found["train"][0].answer, meaning.unused) == (many - 1, ())


@pytest.mark.parametrize("names", [("option1", "option3"), ("option2", "option3"), ("option1", "option_1", "option2")])
def test_a_missing_column_of_choices_is_named(tmp_path, names):
    rows = [{"question": "q", **dict.fromkeys(names, "x"), "answer": 0}]
    code, said = refusal(lambda: decided(mc, tmp_path, train=rows))
    assert (code, names[-1] in said) == ("E074", True)


def test_choices_are_listed_where_an_answer_is_none(tmp_path):
    rows = [{"question": "q", "choices": ["Man", "dog"], "answer": "man"}]
    assert "choices are `Man`, `dog`" in refusal(lambda: decided(mc, tmp_path, train=rows))[1]


def test_a_list_written_as_text_is_no_list_of_tags(tmp_path):
    rows = [{"tokens": "the man", "tags": "['O', 'B-PER']"}]
    code, said = refusal(lambda: decided(tc, tmp_path, train=rows))
    assert code == "E075"
    assert "a list written as text" in said


@pytest.mark.parametrize("task", [sc, mc, tc, lm])
def test_a_record_that_lacks_a_column_of_others_is_named(tmp_path, task):
    row = {"text": "a", "label": 0, "question": "q", "choices": ["x", "y"], "answer": 0, "tokens": ["a"], "tags": ["O"]}
    lacking = {sc: "label", mc: "answer", tc: "tags", lm: "text"}[task]
    first = {k: v for k, v in row.items() if k != lacking and not (task is mc and k == "label")}
    code, said = refusal(lambda: decided(task, tmp_path, train=[first, row]))
    assert code == "E074"
    assert f"record 0 of `train.json` lacks `{lacking}`, which others have" in said


# ------------------------------------------------------- choices, some of them absent
@pytest.mark.parametrize(
    "rows",
    [
        [
            {"choices": {"text": list("xyz"), "label": list("ABC")}},
            {"choices": {"text": list("xy"), "label": ["1", "2"]}},
        ],
        [{"choices": {"text": list("xyz")}}, {"choices": {"text": list("xy")}}],
        [{"choices": list("xyz")}, {"choices": list("xy")}],
        [{"option1": "x", "option2": "y", "option3": "z"}, {"option1": "x", "option2": "y", "option3": None}],
        [{"option1": "x", "option2": "y", "option3": "z"}, {"option1": "x", "option2": "y", "option3": " "}],
    ],
)
def test_questions_may_have_unequal_numbers_of_choices(tmp_path, rows):
    keyed = "label" in rows[0].get("choices", ())
    rows = [{"question": "q", **row, "answer": a} for row, a in zip(rows, ("C", "1" if keyed else "A"), strict=True)]
    meaning, found = decided(mc, tmp_path, train=rows)
    assert [(e.choices, e.answer) for e in found["train"]] == [(("x", "y", "z"), 2), (("x", "y"), 0)]
    assert meaning.choices == (2, 3)
    assert decided(mc, tmp_path, train=rows[:1])[0].choices is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"choices": {"text": ["x", "y", "z"], "label": ["A", "B"]}}, "different numbers of"),
        ({"choices": {"text": ["x", "y"], "label": 3}}, "different numbers of"),
        ({"option1": "", "option2": "x", "option3": "y"}, "`option1` of record 0 of `train.json` is empty"),
        ({"option1": "x", "option2": None, "option3": "y"}, "`option2` of record 0 of `train.json` is empty"),
        ({"option1": "x", "option2": None}, "fewer than two choices"),
        ({"option1": "x", "option2": "y", "option3": 3}, "is not text"),
    ],
)
def test_choices_that_are_missing_elsewhere_are_refused(tmp_path, row, said):
    code, told = refusal(lambda: decided(mc, tmp_path, train=[{"question": "q", **row, "answer": "A"}]))
    assert code == "E075" and said in told


def test_what_stands_before_every_choice_is_decided_for_all_splits(tmp_path):
    row = {"sent1": "a", "sent2": "b", "ending0": "x", "ending1": "y", "label": 1}
    meaning, found = decided(mc, tmp_path, train=[row], validation=[row])
    assert (meaning.before, meaning.unused) == ("sent2", ())
    assert found["train"][0].choices == ("b x", "b y")
    without = {k: v for k, v in row.items() if k != "sent2"}
    meaning, found = decided(mc, tmp_path, train=[row], validation=[without])
    assert (meaning.before, meaning.unused) == ("", ("sent2",))
    assert found["train"][0].choices == ("x", "y")
    assert refusal(lambda: decided(mc, tmp_path, train=[row, {**row, "sent2": None}]))[0] == "E075"


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"sent1": "a", "sent2": "b"}, "sent1 + sent2 and choice"),
        ({"sentence": "a _ b"}, "sentence + choice, or sentence split at its gap `_` + choice and the rest"),
        (
            {"passage": "p", "question": "q"},
            "passage + question and choice, or question with its gap `_` filled by the choice",
        ),
        ({"question": "q"}, "question + choice"),
    ],
)
def test_how_a_text_is_put_together_is_shown(tmp_path, row, shown):
    meaning, _ = decided(mc, tmp_path, train=[{**row, "choices": ["x", "y"], "label": 1}])
    assert _put_together(meaning) == shown
