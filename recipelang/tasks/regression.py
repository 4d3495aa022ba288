"""A number for a text, or for a pair of texts, as in STS-B. Pearson's and Spearman's correlation, mean squared error.

The head gives one number, and is trained on the mean squared error. Numpy and `tokenizers` only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recipelang.source import fail
from recipelang.source.words import listed
from recipelang.storage.growing import Growing
from recipelang.tasks import encoding, meaning
from recipelang.tasks.correlation import pearson, spearman
from recipelang.tasks.encoding import Reader, Rows
from recipelang.tasks.meaning import Meaning, written
from recipelang.tasks.numbers import as_number, number
from recipelang.tasks.records import read_table
from recipelang.tasks.rows import Made
from recipelang.tasks.sequence_classification import TEXT, columns_of, rows_of, texts_of
from recipelang.tasks.table import Table, objects
from recipelang.tasks.task import Counting, First, Task

FIELDS = ("text", "pair", "label")

LABEL = ("label", "labels", "score", "similarity_score", "relatedness_score", "target")

#: metrics that have no value where all labels, or all predictions, are equal
CORRELATIONS = {"pearson": pearson, "spearman": spearman}


@dataclass(frozen=True)
class Example:
    text: str
    pair: str | None
    label: float


def decide(tables: Mapping[str, Table], wanted: Meaning) -> Meaning:
    """The columns of text, pair and label. E074 for a training split of one label; else `open_split` refuses."""
    columns = columns_of(list(tables.values()), wanted.columns, LABEL)
    label = columns["label"]
    values = meaning.values_of(tables, label)
    if "train" in tables:
        _differ(tables["train"], label, wanted.unlabelled)
    return wanted.model_copy(
        update={
            "columns": columns,
            "unused": meaning.unused(tables.values(), columns.values()),
            "left_out": meaning.left_out(values, wanted.unlabelled),
            "unmatched": meaning.unmatched(wanted.unlabelled, values.values()),
        }
    )


def _differ(table: Table, label: str, unlabelled: Sequence[str]) -> None:
    """E074 for labels of which nothing can be learnt; `open_split` refuses what is no number."""
    learnt = {as_number(table.rows[i].get(label)) for i in meaning.without(table, label, unlabelled)}
    if len(learnt) == 1 and (only := learnt.pop()) is not None:
        help = "a regression needs at least two different labels: name another column, or another split"
        notes = [f"labels are read from `{label[:40]}`"]
        raise fail("E074", f"`{table.name}` has only one label: `{only:g}`", help=help, notes=notes)


def _examples(table: Table, decided: Meaning, named: Mapping[str, str], reference: str) -> Sequence[Example]:
    first, second, label = (decided.columns.get(field) for field in FIELDS)
    assert first is not None and label is not None
    table.needs(decided.columns, named, {"text": TEXT, "label": LABEL})
    if names := table.classes.get(label):
        help = (
            'write `task = sequence_classification`, or name a column of numbers: `columns { label = "..." }` in `data`'
        )
        notes = [f"the data set names the classes: {listed(names, 6, longest=40)}"]
        raise fail("E074", f"`{label[:40]}` of `{table.name}` holds classes, not numbers", help=help, notes=notes)
    rows = meaning.without(table, label, decided.unlabelled)
    if not rows:
        raise fail("E074", f"no example of `{table.name}` has a label", help="name another split")

    def example(i: int) -> Example:
        left_out = f'`unlabelled = ["{written(table.rows[i].get(label))[:40]}"]` in `data`'
        two = None if second is None else table.text(i, second)
        return Example(table.text(i, first), two, number(table, i, label, left_out=left_out))

    return Made(example, rows)


def featurize(
    examples: Sequence[Example], tokenizer: Reader, max_length: int, stride: int, names: Sequence[str] = ()
) -> Rows:
    """One row a text; what is longer than `max_length` is cut, of a pair the longer text first."""
    right = Growing(np.float32)
    return rows_of(texts_of(examples, lambda e: right.one(e.label)), right, tokenizer, max_length)


def measure(
    kept: Mapping[str, np.ndarray], features: Rows, examples: Sequence[Example], how: Counting | None = None
) -> dict[str, float]:
    """In double precision, of the labels as written. E082 for an infinite prediction, or a correlation that has no value."""
    said = kept["logits"][:, 0].astype(np.float64)
    right = np.array([e.label for e in examples], np.float64)
    if not np.isfinite(said).all():
        raise fail("E082", "an evaluation output is infinite", help="check the weights: one may be infinite")
    found = {"mse": math.fsum(((said - right) ** 2).tolist()) / len(right)}
    for name, correlation in CORRELATIONS.items():
        value = correlation(said, right)
        if value is not None:
            found[name] = value
        elif how is None or name in how.metrics:
            raise _undefined(name, said)
    return found


def _undefined(name: str, said: np.ndarray) -> Exception:
    """Of constant predictions; constant labels the plan refuses."""
    notes = [f"the model predicts {said[0]:g} for all {len(said):,} texts", "a constant correlates with nothing"]
    help = "prune less, or train longer; `metrics = [mse]` measures such a model too"
    return fail("E082", f"`{name}` is undefined: all predictions are equal", help=help, notes=notes)


TASK = Task(
    "regression",
    "AutoModelForSequenceClassification",
    head_of="sequence_classification",
    gives="number",
    fields=FIELDS,
    needs=("text", "label"),
    settings=("unlabelled",),
    items="texts",
    shortest=5,  # a token of each of two texts
    read=read_table,
    streams=objects,
    decide=decide,
    examples=_examples,
    load_tokenizer=encoding.load_reader,
    featurize=featurize,
    forms=(Rows,),
    measure=measure,
    first=First("hf://google-bert/bert-base-uncased", "hf://nyu-mll/glue", settings=(("config", "stsb"),)),
)
