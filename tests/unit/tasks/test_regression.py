"""Numbers for texts and pairs: how they are read, what is refused with its record, and how they are measured."""

import json
import math
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest

from recipelang.source import RecipeError
from recipelang.tasks import regression
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.numbers import LARGEST, number
from recipelang.tasks.table import Table
from tests.conftest import make_model

OTHER = {"sentence": "b", "label": 1.5}


def refusal(call):
    with pytest.raises(RecipeError) as error:
        call()
    (found,) = error.value.diagnostics
    return found.code, found.message, " ".join((*found.help, *found.notes))


def opened(folder, rows, name="d.json", wanted=None):
    (folder / name).write_text(json.dumps(rows), "utf-8")
    table = regression.TASK.read(str(folder / name), "train", None, None)
    meaning = regression.decide({"train": table}, wanted or Meaning())
    return meaning, regression.TASK.open_split(str(folder / name), "train", None, None, meaning)


# ---------------------------------------------------------------------- reading
@pytest.mark.parametrize(
    ("value", "read"),
    [
        (2.4, 2.4), (3, 3.0), (-1, -1.0), (0, 0.0), ("2.400", 2.4), (" 5 ", 5.0), ("-.5e1", -5.0), ("3.", 3.0),
        (Decimal("0.1"), 0.1), (np.float32(0.5), 0.5), (LARGEST, LARGEST), (1e-320, 1e-320),
    ],
)  # fmt: skip
def test_a_number_is_one_however_it_is_written(value, read):
    assert number(Table("t", [{"x": value}]), 0, "x") == read


@pytest.mark.parametrize(
    ("value", "headline", "said"),
    [
        (None, "is not a number", "null"),
        (True, "is not a number", "the Boolean `true`"),
        ("", "is not a number", "blank"),
        ("very alike", "is not a number", "the text `very alike`"),
        ("4 of 5", "is not a number", "the text `4 of 5`"),
        ("1_000", "is not a number", "the text `1_000`"),
        ("2,4", "is not a number", "write a decimal point: `2.4`"),
        ([1.0], "is not a number", "a list"),
        ({"value": 1}, "is not a number", "a dict"),
        (math.nan, "is not finite", "nan"),
        ("NaN", "is not finite", "NaN"),
        (-math.inf, "is not finite", "-inf"),
        ("infinity", "is not finite", "infinity"),
        ("1e400", "is not finite", "1e400"),
        (Decimal("-Infinity"), "is not finite", "Infinity"),
        (10**400, "is too large", "3.4e+38"),
        (3.5e38, "is too large", "3.4e+38"),
        ("-1e39", "is too large", "-1e39"),
    ],
)
def test_what_is_no_number_is_refused_with_its_place(value, headline, said):
    rows = [{"my score": 1.0}, {"my score": value}]
    code, message, rest = refusal(lambda: number(Table("t.json", rows), 1, "my score"))
    assert (code, message) == ("E075", f"`my score` of record 1 of `t.json` {headline}")
    assert said in rest


def test_files_say_the_same_in_every_format(tmp_path):
    import pyarrow
    from pyarrow import parquet

    rows = [{"sentence1": "a", "sentence2": "b", "score": 2.4}, {"sentence1": "c", "sentence2": "d", "score": 0.0}]
    lines = [("sentence1", "sentence2", "score"), *(tuple(map(str, r.values())) for r in rows)]
    (tmp_path / "d.tsv").write_text("\n".join(map("\t".join, lines)), "utf-8")
    (tmp_path / "d.csv").write_text("\n".join(map(",".join, lines)), "utf-8")
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "d.parquet")
    for ending in ("tsv", "csv", "jsonl", "parquet"):
        found = regression.TASK.open_split(str(tmp_path / f"d.{ending}"), "train")
        assert [(e.text, e.pair, e.label) for e in found] == [("a", "b", 2.4), ("c", "d", 0.0)], ending


@pytest.mark.parametrize("name", regression.LABEL)
def test_labels_are_found_by_their_usual_names(tmp_path, name):
    rows = [{"text": "a", "idx": 3, name: 0.5}, {"text": "b", "idx": 4, name: 1}]
    meaning, found = opened(tmp_path, rows)
    assert meaning.columns == {"text": "text", "label": name} and meaning.unused == ("idx",)
    assert [e.label for e in found] == [0.5, 1.0]


def test_a_missing_label_is_skipped_where_the_recipe_says_so(tmp_path):
    rows = [{"sentence": "a", "label": None}, OTHER, {"sentence": "c", "label": "-"}, {"sentence": "c", "label": 2}]
    code, message, rest = refusal(lambda: opened(tmp_path, rows))
    assert (code, message) == ("E075", "`label` of record 0 of `d.json` is not a number")
    assert 'skip such records: `unlabelled = ["null"]`' in rest
    meaning, found = opened(tmp_path, rows, wanted=Meaning(unlabelled=("null", "-", "?")))
    assert [e.label for e in found] == [1.5, 2.0]
    assert (meaning.left_out, meaning.unmatched) == ({"train": 2}, ("?",))
    every = [{"sentence": "a", "label": "-"}, {"sentence": "b", "label": "-"}]
    assert refusal(lambda: opened(tmp_path, every, wanted=Meaning(unlabelled=("-",))))[0] == "E074"


def test_training_data_of_one_label_is_refused(tmp_path):
    code, message, rest = refusal(lambda: opened(tmp_path, [OTHER, {**OTHER, "sentence": "c", "label": "1.50"}]))
    assert (code, message) == ("E074", "`d.json` has only one label: `1.5`")
    assert "read from `label`" in rest


@pytest.mark.parametrize(
    ("rows", "code", "headline"),
    [
        ([{"sentence": "a", "label": None}] * 2, "E075", "`label` of record 0 of `d.json` is not a number"),
        ([{"sentence": "a", "label": "good"}] * 2, "E075", "`label` of record 0 of `d.json` is not a number"),
        ([{"sentence": "a"}] * 2, "E074", "`d.json` has no column `label`"),
        ([{"sentence": 3, "label": 1}, OTHER], "E075", "`sentence` of record 0 of `d.json` is not text"),
    ],
)
def test_what_is_missing_is_told_for_its_true_reason(tmp_path, rows, code, headline):
    assert refusal(lambda: opened(tmp_path, rows))[:2] == (code, headline)


def test_numbers_of_named_classes_are_no_numbers(tmp_path):
    import datasets

    rows = datasets.Dataset.from_dict({"sentence": ["a", "b"], "label": [0, 1], "score": [0.5, 2.0]})
    rows = rows.cast_column("label", datasets.ClassLabel(names=["negative", "positive"]))
    rows.to_parquet(str(tmp_path / "d.parquet"))
    code, message, rest = refusal(lambda: regression.TASK.open_split(str(tmp_path / "d.parquet"), "train"))
    assert (code, message) == ("E074", "`label` of `d.parquet` holds classes, not numbers")
    assert "`negative`, `positive`" in rest and "write `task = sequence_classification`" in rest
    found = regression.TASK.open_split(str(tmp_path / "d.parquet"), "train", {"label": "score"})
    assert [e.label for e in found] == [0.5, 2.0]


# ------------------------------------------------------------- inputs and scores
def test_labels_of_a_batch_are_numbers_of_single_precision(tmp_path):
    model = make_model(tmp_path / "m")
    found = [regression.Example("gold", "of", 2.4), regression.Example(" ", "iron in peru", -1.0)]
    rows = regression.featurize(found, regression.TASK.load_tokenizer(model), 16, 0)
    labels = rows.batch([1, 0])["labels"]
    assert labels.dtype == np.float32 and labels.tolist() == [-1.0, np.float32(2.4)]
    assert rows.blank == 1


def kept(*said):
    return {"logits": np.array(said, np.float32)[:, None]}


def examples(*labels):
    return [regression.Example("a", None, label) for label in labels]


def ranked(values):
    """Ranks by counting: how many are less, and half of those that are equal."""
    return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


@pytest.mark.parametrize("seed", range(8))
def test_measured_as_in_double_precision_ties_included(seed):
    random = np.random.default_rng(seed)
    right = random.integers(0, 26, 40) / 5  # as STS-B rounds them: many ties
    said = (right + random.integers(-6, 7, 40) / 4).astype(np.float32)
    found = regression.measure(kept(*said), None, examples(*right.tolist()))
    double = said.astype(np.float64)
    assert found["pearson"] == pytest.approx(np.corrcoef(double, right)[0, 1], abs=1e-12)
    assert found["spearman"] == pytest.approx(np.corrcoef(ranked(double), ranked(right))[0, 1], abs=1e-12)
    assert found["mse"] == pytest.approx(np.mean((double - right) ** 2), rel=1e-12)


def test_labels_are_measured_as_written_and_not_as_rounded_for_training():
    assert regression.measure(kept(0.0, 1.0), None, examples(0.1, 1.1))["mse"] == pytest.approx(0.01, rel=1e-12)


def test_order_of_the_rows_changes_no_bit():
    random = np.random.default_rng(0)
    right, said = random.normal(size=(2, 300)).astype(np.float32)
    order = random.permutation(300)
    a, b = (regression.measure(kept(*said[o]), None, examples(*right[o].tolist())) for o in (np.arange(300), order))
    assert a == b


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_a_correlation_of_constant_predictions_has_no_value(metric):
    constant, right = kept(2.5, 2.5, 2.5), examples(1.0, 2.0, 4.5)
    code, message, rest = refusal(
        lambda: regression.measure(constant, None, right, SimpleNamespace(metrics=("mse", metric)))
    )
    assert (code, message) == ("E082", f"`{metric}` is undefined: all predictions are equal")
    assert "predicts 2.5 for all 3 texts" in rest and "metrics = [mse]" in rest
    assert regression.measure(constant, None, right, SimpleNamespace(metrics=("mse",))) == {"mse": 6.5 / 3}


@pytest.mark.parametrize("said", [math.inf, -math.inf])
def test_an_infinite_prediction_is_refused(said):
    assert refusal(lambda: regression.measure(kept(1.0, said), None, examples(1.0, 2.0)))[0] == "E082"
