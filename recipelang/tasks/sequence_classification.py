"""A label for a text, or for a pair of texts. Accuracy, F1, Matthews' correlation.

Numpy and `tokenizers` only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recipelang.tasks import encoding, scores
from recipelang.tasks.encoding import Reader, Rows
from recipelang.tasks.labels import Classes, label_text, names_of
from recipelang.tasks.records import Table, read_table

OUTPUTS = ("logits",)
AUTO_MODEL = "AutoModelForSequenceClassification"
LABELS = ("labels",)
FIELDS = ("text", "pair", "label")
SHORTEST = 5  # a token of each of two texts
ITEMS = "texts"
PER_TOKEN = False
BLOCKS = False
CLASSES = True

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
LABEL = ("label", "labels", "gold_label", "target")


@dataclass(frozen=True)
class Example:
    text: str
    pair: str | None
    label: str


class Examples(tuple[Example, ...]):
    """With the names of the classes that occur, in order."""

    names: tuple[str, ...] = ()


def open_split(
    reference: str, split: str, columns: Mapping[str, str] | None = None, config: str | None = None
) -> Examples:
    table = read_table(reference, split, columns, config)
    first, second, label = _columns(table, dict(columns or {}))
    found = Examples(
        Example(
            table.text(i, first),
            None if second is None else table.text(i, second),
            label_text(table, label, row.get(label), i),
        )
        for i, row in enumerate(table.rows)
    )
    found.names = names_of((e.label for e in found), table.classes.get(label, ()), table.name)
    return found


def _columns(table: Table, named: dict[str, str]) -> tuple[str, str | None, str]:
    """Of the text, of the other one of a pair, and of the label. A pair is looked for where no text is named."""
    there = table.columns()
    for field, column in named.items():
        if column not in there:
            table.lacks(column, field)
    text, pair = named.get("text"), named.get("pair")
    if text is None:
        known = [p for p in PAIRS if p[0] in there and (p[1] in there or pair is not None)]
        if known:
            text, pair = known[0][0], pair or known[0][1]
        else:
            text = next((c for c in SINGLE if c in there), None)
    if text is None:
        table.lacks("text", "text", (*SINGLE, *(a for a, _ in PAIRS)))
    label = named.get("label") or next((c for c in LABEL if c in there), None)
    if label is None:
        table.lacks("label", "label", LABEL)
    return text, pair, label


def label_names(examples: Examples) -> tuple[str, ...]:
    return examples.names


def refuses(metric: str, names: Sequence[str]) -> str | None:
    return None


def load_tokenizer(folder: Path) -> Reader:
    return encoding.load_reader(folder)


def featurize(
    examples: Sequence[Example], tokenizer: Reader, max_length: int, stride: int, names: Sequence[str] = ()
) -> Rows:
    """One row a text; what is longer than `max_length` is cut, of a pair the longer text first."""
    classes = Classes(names)
    texts = [e.text if e.pair is None else (e.text, e.pair) for e in examples]
    labels = [classes.number(e.label, f"record {i} has it") for i, e in enumerate(examples)]
    return encoding.rows_of(tokenizer, texts, labels, max_length)


def kept(outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    return {"logits": outputs.logits}


def measure(kept: Mapping[str, np.ndarray], features: Rows, examples: Sequence[Example]) -> dict[str, float]:
    logits = kept["logits"]
    counts = scores.confusion(logits.argmax(1), features.labels, logits.shape[1])
    return {"accuracy": scores.accuracy(counts), "f1": scores.f1(counts), "matthews": scores.matthews(counts)}
