"""A tag for every word: names of people and places, parts of speech. F1 of entities, accuracy of words.

A word's tag is that of its first token; its other tokens are neither trained nor measured. Words that `max_length`
cuts off are measured all the same: as tagged wrongly, and as no entity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recipelang.source import fail
from recipelang.source.words import plural
from recipelang.storage.growing import Growing
from recipelang.tasks import encoding, entities, labels, meaning
from recipelang.tasks.encoding import IGNORED, Reader, Rows
from recipelang.tasks.labels import Classes, Labelled, label_text, make_classes, names_of
from recipelang.tasks.meaning import Meaning, written
from recipelang.tasks.records import read_table
from recipelang.tasks.table import Table, objects, sound_text
from recipelang.tasks.task import Counting, First, HeadClasses, Task

FIELDS = ("tokens", "tags")

TOKENS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "labels", "pos_tags")


@dataclass(frozen=True)
class Example:
    words: tuple[str, ...]
    tags: tuple[str, ...]


Examples = Labelled[Example]


def decide(tables: Mapping[str, Table], wanted: Meaning) -> Meaning:
    """The columns of words and tags. What is missing `open_split` refuses."""
    several = list(tables.values())
    columns = {
        field: wanted.columns.get(field) or meaning.found(several, usual) or field
        for field, usual in (("tokens", TOKENS), ("tags", TAGS))
    }
    column = columns["tags"]
    named = {name for name, table in tables.items() if wanted.classes or table.names(column)}
    forms = {n: "names" if n in named else labels.form(_written(table, column)) for n, table in tables.items()}
    unused = meaning.unused(several, columns.values())
    return wanted.model_copy(update={"columns": columns, "unused": unused, "labels": forms})


def _written(table: Table, column: str) -> set[str]:
    found: set[str] = set()
    for row in table.rows:
        value = row.get(column)
        if isinstance(value, Sequence):
            found.update(map(written, value.split() if isinstance(value, str) else value))
    return found


def _examples(table: Table, decided: Meaning, named: Mapping[str, str], reference: str) -> Examples:
    tokens, tags = (decided.columns[field] for field in FIELDS)
    table.needs({"tokens": tokens, "tags": tags}, named, {"tokens": TOKENS, "tags": TAGS})
    found = Examples(lambda i: _example(table, i, tokens, tags, decided.classes), range(len(table.rows)))
    found.name, found.column, found.known = table.name, tags, decided.classes or table.names(tags)
    return found


def _example(table: Table, i: int, tokens: str, tags: str, classes: Sequence[str]) -> Example:
    words, own = (_listed(table, i, column) for column in (tokens, tags))
    if not words or len(words) != len(own):
        what = f"{plural(len(words), 'word')} and {plural(len(own), 'tag')}" if words else "no words"
        raise fail("E075", f"{table.record(i)} has {what}", help="give every word its tag")
    return Example(
        tuple(sound_text(w, f"a word of {table.record(i)}") for w in words),
        tuple(label_text(table, tags, t, i, classes, of_word=True) for t in own),
    )


def _listed(table: Table, i: int, column: str) -> Sequence[Any]:
    """A list, or in a table of texts what white space separates."""
    value = table.rows[i].get(column)
    if isinstance(value, str):
        if len(value) > 2 and value.startswith("[") and value.endswith("]"):
            help = "write the words with spaces between them, or the records to `.jsonl`"
            raise fail("E075", f"`{column}` of {table.record(i)} is a list written as text", help=help)
        return value.split()
    if not isinstance(value, Sequence):
        found = "null" if value is None else type(value).__name__
        raise fail("E075", f"`{column}` of {table.record(i)} is not a list", help=f"it is {found}")
    return value


def label_names(examples: Examples) -> tuple[str, ...]:
    """Those that the data set carries, else all that occur, completed; numbers in their order."""
    names = _occurring(examples)
    make_classes(names, f"`{examples.name}`", "tags", examples.column, examples.known)
    return names if examples.known else entities.completed(names)


def some_names(examples: Examples) -> tuple[str, ...]:
    return _occurring(examples) if examples.known else entities.completed(_occurring(examples))


def _occurring(examples: Examples) -> tuple[str, ...]:
    return names_of((t for e in examples for t in e.tags), examples.known)


def label_counts(examples: Sequence[Example]) -> dict[str, int]:
    return dict(Counter(t for e in examples for t in e.tags))


def refuses(metric: str, names: Sequence[str]) -> str | None:
    """What a metric cannot count in these tags."""
    odd = next((n for n in names if not entities.is_tag(n)), None)
    return f"`f1` counts entities, and `{odd}` is not a tag like `B-PER`" if metric == "f1" and odd else None


def load_tokenizer(folder: Path) -> Reader:
    reader = encoding.load_reader(folder)
    before = reader.tokenizer.pre_tokenizer
    if before is not None and type(before).__name__ == "ByteLevel":
        before.add_prefix_space = True  # words come one by one, and in a text a space stands before each
        reader.tokenizer.pre_tokenizer = before
    return reader


def featurize(
    examples: Sequence[Example], tokenizer: Reader, max_length: int, stride: int, names: Sequence[str] = ()
) -> Rows:
    """One row a sentence, with the number of the word that a token begins; -1 elsewhere."""
    classes = Classes(names)
    tokens, words, tags = encoding.Tokens(tokenizer.types), Growing(np.int32), Growing(np.int64)
    cut = tokenless = 0
    encoded = encoding.encode(tokenizer, [list(e.words) for e in examples], max_length, words=True)
    for i, (example, encoding_) in enumerate(zip(examples, encoded, strict=True)):
        numbers = np.array([-1 if w is None else w for w in encoding_.word_ids])
        first = np.concatenate([[True], numbers[1:] != numbers[:-1]]) & (numbers >= 0)
        if not first.any():
            raise fail("E075", f"record {i} has no word that the tokenizer can encode", help="remove it")
        shortened = encoding.is_cut(encoding_, max_length)
        behind = (
            int(numbers.max()) + 1 if shortened else len(example.words)
        )  # of words that are cut off nothing is known
        cut, tokenless = cut + shortened, tokenless + behind - len(np.unique(numbers[numbers >= 0]))
        right = np.array([classes.number(t, f"record {i} has it") for t in example.tags])
        tokens.add(encoding_.ids, encoding_.type_ids)
        words.add(np.where(first, numbers, -1))
        tags.add(np.where(first, right[numbers], IGNORED))
    rows = tokens.rows(tags.array(), tokenizer.pad_id, limit=max_length)
    rows = replace(rows, words=words.array(), names=tuple(names))
    return replace(rows, cut=cut, tokenless=tokenless)


def kept(outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    return {"said": outputs.logits.argmax(-1)}


def measure(
    kept: Mapping[str, np.ndarray], features: Rows, examples: Sequence[Example], how: Counting | None = None
) -> dict[str, float]:
    said = [_tags(features, row, e, kept["said"][row]) for row, e in enumerate(examples)]
    right = [_folded(e.tags, features.names) for e in examples]
    hits = sum(a == b for one, other in zip(said, right, strict=True) for a, b in zip(one, other, strict=True))
    return {"f1": entities.f1(said, right), "accuracy": hits / sum(map(len, right))}


def _tags(features: Rows, row: int, example: Example, said: np.ndarray) -> list[str]:
    """Of all words; nothing is said of one that has no token here."""
    assert features.words is not None
    words = features.words[features.starts[row] :][: features.sizes[row]]
    tags = [""] * len(example.words)
    for at in np.flatnonzero(words >= 0):
        tags[words[at]] = features.names[int(said[at])]
    return tags


def _folded(tags: Sequence[str], names: Sequence[str]) -> list[str]:
    """As the model calls them."""
    classes = Classes(names)
    return [names[classes.number(t, "")] for t in tags]


TASK = Task(
    "token_classification",
    "AutoModelForTokenClassification",
    per_token=True,
    fields=FIELDS,
    needs=FIELDS,
    settings=("classes",),
    items="sentences",
    shortest=3,
    read=read_table,
    streams=objects,
    decide=decide,
    examples=_examples,
    classes=HeadClasses(label_names, label_counts, some_names, "tags", refuses),
    load_tokenizer=load_tokenizer,
    featurize=featurize,
    forms=(Rows,),
    kept=kept,
    learns="classes",
    measure=measure,
    first=First("hf://google-bert/bert-base-cased", "hf://unimelb-nlp/wikiann", settings=(("config", "en"),)),
)
