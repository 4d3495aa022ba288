"""Which tasks the records of a file fit: each task reads the first of them, as it would read all of them. E074."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from recipelang.source import RecipeError
from recipelang.source.frozen import frozen
from recipelang.storage.writing import write_text
from recipelang.tasks import reading, task_of
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.records import read_file
from recipelang.tasks.shards import ENDINGS, ending, files
from recipelang.tasks.streams import Pass, Place, open_stream

#: records that tell what the others are
FIRST = 200
#: characters of a text without records
_CHARACTERS = 2**16
#: bytes that are read whole, to count examples
WHOLE = 2**26


@frozen
class Fit:
    """A task that can read the records, and the columns that it reads: field -> column."""

    task: str
    columns: Mapping[str, str]


def fitting(path: Path, tasks: Iterable[str], named: Mapping[str, str] = MappingProxyType({})) -> list[Fit]:
    """Those of `tasks` that read the first records; the task first that reads the most columns.

    `named`: columns as a recipe names them. E047, E074 and others where the file cannot be read at all.
    """
    found: list[Fit] = []
    with tempfile.TemporaryDirectory() as folder:
        head = _head(path, Path(folder), named)
        for name in tasks:
            task = task_of(name)
            if not set(named) <= set(task.fields):
                continue
            try:
                read = task.read(str(head), "train", named, None)
                meant = task.decide({"train": read}, Meaning(columns=dict(named)))
                examples = task.examples(read, meant, named, str(head))
                if task.classes is not None:
                    task.classes.names(examples)
            except RecipeError:
                continue
            if len(examples):
                found.append(Fit(name, meant.columns))
    return sorted(found, key=lambda fit: -len(fit.columns))


def columns_of(path: Path) -> tuple[str, ...]:
    """Those of the first record; empty of a text."""
    with tempfile.TemporaryDirectory() as folder:
        head = _head(path, Path(folder), {})
        return () if head.suffix == ".txt" else read_file(head).columns()


def count(path: Path, name: str, named: Mapping[str, str]) -> int | None:
    """Examples of a task in a file; none where it is too large to be read for this, or what is counted is no example."""
    task = task_of(name)
    if task.blocks or sum(file.stat().st_size for file in files(path) if file.is_file()) > WHOLE:
        return None
    return len(task.open_split(str(path), "train", named))


def _head(path: Path, folder: Path, named: Mapping[str, str]) -> Path:
    """The first records in a file of their own, in a format that every task reads."""
    first = files(path)[0]
    if ending(first) == ".txt" and not named:
        text = folder / "head.txt"
        lines = reading.stream_lines(first, ENDINGS, "a text file holds text")
        write_text(text, "".join(islice(lines, FIRST))[:_CHARACTERS])
        return text
    rows = Pass(open_stream(str(path), "train", named, None, texts=False), range(len(files(path))), Place()).take(FIRST)
    nested = [row for row in rows.rows if isinstance(row, Mapping) and "paragraphs" in row]
    if nested:  # SQuAD's own: an article holds hundreds of questions
        head = folder / "head.json"
        write_text(head, json.dumps({"data": nested[:4]}, default=str))
        return head
    head = folder / "head.jsonl"
    write_text(head, "".join(f"{json.dumps(row, default=str)}\n" for row in rows.rows))
    return head
