"""One of several answers to a question: every answer is read behind the question, and the highest score wins.

Read are CommonsenseQA and what is of its shape (`question`, `choices`, `answerKey`, nested or flat), WinoGrande
(`sentence` with a gap `_`, `option1`, `option2`), SWAG (`sent1`, `sent2`, `ending0` ...) and PIQA (`goal`, `sol1`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recipelang.source import fail
from recipelang.tasks import encoding
from recipelang.tasks.encoding import Reader, Rows
from recipelang.tasks.records import Table, read_table, sound_text

OUTPUTS = ("logits",)
AUTO_MODEL = "AutoModelForMultipleChoice"
LABELS = ("labels",)
FIELDS = ("question", "choices", "answer")
SHORTEST = 5  # a token of the question, and one of the choice
ITEMS = "questions"
PER_TOKEN = False
BLOCKS = False
CLASSES = False

QUESTION = ("question", "sentence", "sent1", "ctx", "goal", "stem")
CHOICES = ("choices", "endings", "options", "option", "ending", "sol", "choice")
ANSWER = ("answerKey", "answer", "label")


@dataclass(frozen=True)
class Example:
    first: str  # what all choices share
    choices: tuple[str, ...]
    answer: int


def open_split(
    reference: str, split: str, columns: Mapping[str, str] | None = None, config: str | None = None
) -> tuple[Example, ...]:
    table = _flat(read_table(reference, split, columns, config))
    named = dict(columns or {})
    there = table.columns()
    question = named.get("question") or next((c for c in QUESTION if c in there), "question")
    choices = named.get("choices") or next((c for c in CHOICES if c in there or _numbered(c, there)), "choices")
    answer = named.get("answer") or next((c for c in ANSWER if c in there), "answer")
    for field, column, usual in (("question", question, QUESTION), ("answer", answer, ANSWER)):
        if column not in there:
            table.lacks(column, field, () if field in named else usual)
    if choices not in there and not _numbered(choices, there):
        table.lacks(choices, "choices", () if "choices" in named else ("choices", "option1", "ending0"))
    keys = _keys(table, choices, answer)
    return tuple(_example(table, i, question, choices, answer, keys) for i in range(len(table.rows)))


def _flat(table: Table) -> Table:
    """CommonsenseQA's own files nest stem and choices in `question`."""
    if not isinstance(table.rows[0].get("question"), Mapping):
        return table
    rows = []
    for i, row in enumerate(table.rows):
        inner = row.get("question")
        if not isinstance(inner, Mapping) or not {"stem", "choices"} <= set(inner):
            raise fail("E075", f"the question of record {i} of `{table.name}` lacks `stem` or `choices`")
        rows.append({**row, "question": inner["stem"], "choices": inner["choices"]})
    return Table(table.name, rows, table.classes)


def _numbered(prefix: str, there: Sequence[str]) -> list[str]:
    """`option1`, `option2` for `option`, in the order of their numbers."""
    found = [c for c in there if re.fullmatch(re.escape(prefix) + r"_?\d", c)]
    return sorted(found, key=lambda c: int(c[-1])) if len(found) > 1 else []


def _keys(table: Table, choices: str, answer: str) -> tuple[str, ...]:
    """What answers name numbered columns by: their numbers, unless an answer is none of these; then places from 0."""
    columns = _numbered(choices, table.columns())
    numbers = tuple(c[-1] for c in columns)
    said = {str(row.get(answer)).strip() for row in table.rows}
    return numbers if said <= set(numbers) else tuple(map(str, range(len(columns))))


def _example(table: Table, i: int, question: str, choices: str, answer: str, keys: tuple[str, ...]) -> Example:
    row = table.rows[i]
    first = table.text(i, question)
    given = row.get(choices)
    if given is None:
        texts = tuple(table.text(i, c) for c in _numbered(choices, table.columns()))
    else:
        texts, keys = _listed(given, i, table.name)
    if len(texts) < 2:
        raise fail("E075", f"record {i} of `{table.name}` has no two choices", help="one of several is asked for")
    right = _answer(row.get(answer), texts, keys)
    if right is None:
        notes = [f"`{answer}` is `{str(row.get(answer))[:40]}`", f"choices are {', '.join(f'`{k}`' for k in keys)}"]
        help = "a split without answers cannot be trained or measured on"
        raise fail("E075", f"the answer of record {i} of `{table.name}` is none of its choices", help=help, notes=notes)
    if "_" in first and question == "sentence":  # the gap and all behind it differ from choice to choice
        first, _, rest = first.partition("_")
        return Example(first.strip(), tuple((t + rest).strip() for t in texts), right)
    if question == "sent1" and isinstance(row.get("sent2"), str):
        texts = tuple(f"{row['sent2']} {t}" for t in texts)
    return Example(first, texts, right)


def _listed(given: object, i: int, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Texts and the keys of these, of a list, of a list of objects, or of two lists under one name."""
    where = f"a choice of record {i}"
    if isinstance(given, Mapping) and isinstance(given.get("text"), Sequence):
        given = [{"text": t, "label": k} for t, k in zip(given["text"], given.get("label", ()), strict=False)]
    if not isinstance(given, Sequence) or isinstance(given, str):
        help = "give a list of strings, or `text` and `label` of each"
        raise fail("E075", f"the choices of record {i} of `{name}` are {type(given).__name__}, not a list", help=help)
    if all(isinstance(c, Mapping) and {"text", "label"} <= set(c) for c in given):
        return tuple(sound_text(c["text"], where, name) for c in given), tuple(str(c["label"]) for c in given)
    return tuple(sound_text(c, where, name) for c in given), tuple(map(str, range(len(given))))


def _answer(value: object, texts: Sequence[str], keys: Sequence[str]) -> int | None:
    """By its key, its letter, or its text."""
    said = str(value).strip()
    letters = [chr(ord("A") + i) for i in range(len(texts))]
    return next((list(names).index(said) for names in (keys, letters, texts) if said in names), None)


def load_tokenizer(folder: Path) -> Reader:
    return encoding.load_reader(folder)


def featurize(
    examples: Sequence[Example], tokenizer: Reader, max_length: int, stride: int, names: Sequence[str] = ()
) -> Rows:
    """One row a question, of as many sequences as there are choices."""
    many = len(examples[0].choices)
    for i, example in enumerate(examples):
        if len(example.choices) != many:
            notes = [f"record {i} has {len(example.choices)}, the first {many}"]
            help = "this release reads questions that have the same number of choices"
            raise fail("E075", "questions have different numbers of choices", help=help, notes=notes)
    pairs = [(e.first, c) for e in examples for c in e.choices]
    return encoding.rows_of(tokenizer, pairs, [e.answer for e in examples], max_length, many)


def kept(outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    return {"logits": outputs.logits}


def measure(kept: Mapping[str, np.ndarray], features: Rows, examples: Sequence[Example]) -> dict[str, float]:
    return {"accuracy": int((kept["logits"].argmax(1) == features.labels).sum()) / len(features)}
