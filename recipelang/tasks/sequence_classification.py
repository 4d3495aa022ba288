"""A label for a text, or for a pair of texts. Accuracy, F1, Matthews' correlation.

Numpy and `tokenizers` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from recipelang.source import fail
from recipelang.storage.growing import Growing
from recipelang.tasks import class_scores, encoding, labels, meaning
from recipelang.tasks.encoding import Reader, Rows
from recipelang.tasks.labels import Classes, Labelled, label_text, make_classes, names_of
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.records import read_table
from recipelang.tasks.rows import values_of
from recipelang.tasks.table import Table, objects
from recipelang.tasks.task import Counting, First, HeadClasses, Task

FIELDS = ("text", "pair", "label")

#: names by which the two texts, or the one, are known
PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("text", "pair"),
)
SINGLE = ("sentence", "text", "review", "content")
TEXT = tuple(dict.fromkeys((*SINGLE, *(first for first, _ in PAIRS))))
LABEL = ("label", "labels", "gold_label", "target")


@dataclass(frozen=True)
class Example:
    text: str
    pair: str | None
    label: str
    record: int = 0  # its number in the file


Examples = Labelled[Example]
X = TypeVar("X")


def decide(tables: Mapping[str, Table], wanted: Meaning) -> Meaning:
    """The columns of text, pair and label, and which labels stand for none. What is missing `open_split` refuses."""
    columns = columns_of(list(tables.values()), wanted.columns, LABEL)
    label = columns["label"]
    values = meaning.values_of(tables, label)
    nothing = wanted.unlabelled or labels.stand_for_none({v for each in values.values() for v in each})
    kept = {name: {v for v in each if v not in nothing} for name, each in values.items()}
    named = {name for name, table in tables.items() if wanted.classes or table.names(label)}
    return wanted.model_copy(
        update={
            "columns": columns,
            "unused": meaning.unused(tables.values(), columns.values()),
            "unlabelled": nothing,
            "left_out": meaning.left_out(values, nothing),
            "unmatched": meaning.unmatched(wanted.unlabelled, values.values()),
            "labels": {name: "names" if name in named else labels.form(each) for name, each in kept.items()},
        }
    )


def columns_of(tables: Sequence[Table], named: Mapping[str, str], usual: Sequence[str]) -> dict[str, str]:
    """Of the text, of the other one of a pair, and of the label, by its `usual` names. A pair is looked for where no
    text is named."""
    text, pair = named.get("text"), named.get("pair")
    if text is None:
        for there in (meaning.common(tables), tables[0].columns()):
            known = next((p for p in PAIRS if p[0] in there and (p[1] in there or pair is not None)), None)
            text = known[0] if known else next((c for c in SINGLE if c in there), None)
            if text is not None:
                pair = pair or (known[1] if known else None)
                break
    label = named.get("label") or meaning.found(tables, usual) or "label"
    return {"text": text or "text", **({"pair": pair} if pair else {}), "label": label}


def _examples(table: Table, decided: Meaning, named: Mapping[str, str], reference: str) -> Examples:
    first, second, label = (decided.columns.get(field) for field in FIELDS)
    assert first is not None and label is not None
    table.needs(decided.columns, named, {"text": TEXT, "label": LABEL})
    rows = meaning.without(table, label, decided.unlabelled)
    if not rows:
        raise fail("E074", f"no example of `{table.name}` has a label", help="name another split")

    known: dict[tuple[type, Any], str] = {}  # every label is looked at once

    def label_of(value: Any, i: int) -> str:
        if not isinstance(value, int | str) or len(known) > 2 * labels.MOST:
            return label_text(table, label, value, i, decided.classes)
        found = known.get((type(value), value))
        if found is None:
            found = known[type(value), value] = label_text(table, label, value, i, decided.classes)
        return found

    def example(i: int) -> Example:
        row = table.rows[i]
        two = None if second is None else table.text_of(row.get(second), i, second)
        return Example(table.text_of(row.get(first), i, first), two, label_of(row.get(label), i), i)

    found = Examples(example, rows)
    found.values, found.label_of = (lambda: values_of(table.rows, label)), label_of
    found.name, found.column, found.known = table.name, label, decided.classes or table.names(label)
    return found


def label_names(examples: Examples) -> tuple[str, ...]:
    names = some_names(examples)
    make_classes(names, f"`{examples.name}`", "label", examples.column, examples.known)
    return names


def some_names(examples: Examples) -> tuple[str, ...]:
    return names_of(examples.counts(), examples.known)


def label_counts(examples: Examples) -> dict[str, int]:
    return examples.counts()


def refuses(metric: str, names: Sequence[str]) -> str | None:
    return None


def featurize(
    examples: Sequence[Example], tokenizer: Reader, max_length: int, stride: int, names: Sequence[str] = ()
) -> Rows:
    """One row a text; what is longer than `max_length` is cut, of a pair the longer text first."""
    classes, right = Classes(names), Growing(np.int64)

    def seen(example: Example) -> None:
        right.one(classes.number(example.label, f"record {example.record} has it"))

    return replace(rows_of(texts_of(examples, seen), right, tokenizer, max_length), names=tuple(names))


def texts_of(examples: Iterable[X], seen: Callable[[X], None]) -> Iterator[tuple[str, str | None]]:
    """One after another; `seen` is told of each."""
    for example in examples:
        seen(example)
        yield example.text, example.pair  # type: ignore[attr-defined]


def rows_of(texts: Iterable[tuple[str, str | None]], labels: Growing, tokenizer: Reader, max_length: int) -> Rows:
    """Of texts and pairs; blank ones are counted."""
    blank = 0

    def each() -> Iterator[Any]:
        nonlocal blank
        for a, b in texts:
            blank += not a.strip() or (b is not None and not b.strip())
            yield a if b is None else (a, b)

    rows = encoding.rows_of(tokenizer, each(), labels, max_length)
    return replace(rows, blank=blank)


def measure(
    kept: Mapping[str, np.ndarray], features: Rows, examples: Sequence[Example], how: Counting | None = None
) -> dict[str, float]:
    logits = kept["logits"]
    counts = class_scores.confusion(logits.argmax(1), features.labels, logits.shape[1])
    named = how.positive if how else None
    positive = None if named is None else Classes(features.names).number(named, "it is `positive`")
    f1 = class_scores.f1(counts, positive)
    return {"accuracy": class_scores.accuracy(counts), "f1": f1, "matthews": class_scores.matthews(counts)}


TASK = Task(
    "sequence_classification",
    "AutoModelForSequenceClassification",
    fields=FIELDS,
    needs=("text", "label"),
    settings=("classes", "unlabelled", "positive"),
    items="texts",
    shortest=5,  # a token of each of two texts
    read=read_table,
    streams=objects,
    decide=decide,
    examples=_examples,
    classes=HeadClasses(label_names, label_counts, some_names, "label"),
    load_tokenizer=encoding.load_reader,
    featurize=featurize,
    forms=(Rows,),
    learns="classes",
    measure=measure,
    first=First("hf://google-bert/bert-base-uncased", "hf://nyu-mll/glue", settings=(("config", "sst2"),)),
)
