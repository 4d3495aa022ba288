"""Question answering examples from files: SQuAD's own nesting, or flat records (JSON, JSONL, parquet, Arrow).

Every example is checked as it is read: an answer must stand in its passage
where its offset says. Nothing is repaired silently.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipelang.source import RecipeError, fail
from recipelang.tasks import records
from recipelang.tasks.reading import is_text, read_json
from recipelang.tasks.rows import Portions
from recipelang.tasks.shards import ending, files

FIELDS = ("id", "question", "context", "answers")
_MARK = "is_impossible"
_ANSWERS = 'write `{"text": ["..."], "answer_start": [0]}`, with empty lists if there is no answer'
_FORMATS = "SQuAD files have `data` at the top; records have `id`, `question`, `context`, `answers`"


@dataclass(frozen=True)
class Example:
    id: str
    question: str
    context: str
    answers: tuple[str, ...]  # none: the passage does not answer the question
    starts: tuple[int, ...]  # offsets of the answers, in code points


class Examples(tuple[Example, ...]):
    """With what is known of the data beside."""

    unused: tuple[str, ...] = ()  #: columns that are ignored
    flat: bool = False  #: records, not SQuAD's own nesting
    with_ids: bool = True  #: else ids are numbers of records
    marked: bool = False  #: `is_impossible` says which questions have no answer


def overlap(max_length: int) -> int:
    """How many tokens windows can share: every one must have room for new ones behind the longest question."""
    return max_length // 2 - 4


def read_file(path: Path, columns: Mapping[str, str] | None = None) -> Examples:
    """Examples of a file, a folder of shards, or those that a pattern names. E074 for a file, E075 for an example."""
    shards = files(path)
    if len(shards) == 1:
        return read_records(_content(shards[0]), shards[0].name, columns)
    parts: list[Examples] = []
    for shard in shards:
        parts.append(_examples(_content(shard), shard.name, columns, sum(map(len, parts))))
    found = Examples(itertools.chain.from_iterable(parts))
    found.unused = tuple(dict.fromkeys(column for part in parts for column in part.unused))
    found.flat, found.marked = any(part.flat for part in parts), any(part.marked for part in parts)
    found.with_ids = any(part.with_ids for part in parts)
    return _each_once(found, path.name)


def _content(path: Path) -> Any:
    if ending(path) in (".parquet", ".arrow"):
        return records.read_file(path).rows
    if ending(path) in (".csv", ".tsv"):
        help = "write the questions to `.jsonl`, one record per line"
        notes = ["its cells hold single values; a question needs answers with offsets"]
        raise fail("E074", f"questions cannot be read from `{path.name}`", help=help, notes=notes)
    return read_json(path, (".json", ".jsonl"), _FORMATS)


def read_records(data: Any, name: str, columns: Mapping[str, str] | None = None) -> Examples:
    """Examples from parsed JSON, or rows of a data set."""
    return _each_once(_examples(data, name, columns), name)


def _each_once(examples: Examples, name: str) -> Examples:
    twice = next((id for id, n in Counter(e.id for e in examples).items() if n > 1), None)
    if twice is not None:
        help = "give every question its own id: predictions are matched by id"
        raise fail("E075", f"two questions of `{name}` have the id `{twice[:60]}`", help=help)
    return examples


def _examples(data: Any, name: str, columns: Mapping[str, str] | None, before: int = 0) -> Examples:
    """`before`: how many questions come before these; it counts where they have no ids."""
    if isinstance(data, dict) and isinstance(data.get("data"), list):
        examples = Examples(_nested(data["data"], name))
        examples.marked = _MARK in next(_questions(data["data"]), {})
    elif isinstance(data, list | Portions):
        named = dict(columns or {})
        examples = Examples(_flat(row, i, name, named, before) for i, row in enumerate(data))
        read = {*(named.get(field, field) for field in FIELDS), _MARK}
        keys = dict.fromkeys(str(key) for row in data for key in row)
        examples.flat, examples.unused = True, tuple(key for key in keys if key not in read)
        examples.marked = _MARK in keys
        examples.with_ids = named.get("id", "id") in keys
    else:
        found = ", ".join(f"`{k}`" for k in list(data)[:8]) if isinstance(data, dict) else type(data).__name__
        raise fail(
            "E074",
            f"`{name}` is neither in SQuAD's format nor a list of records",
            help=_FORMATS,
            notes=[f"it holds {found}"],
        )
    if not examples:
        raise fail("E074", f"`{name}` holds no questions", help=_FORMATS)
    return examples


def _questions(articles: list[Any]) -> Iterator[Any]:
    """Of articles that were read."""
    return (qa for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"])


def _nested(articles: list[Any], name: str) -> Iterator[Example]:
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for qa in paragraph["qas"]:
                    id, question, context = qa["id"], qa["question"], paragraph["context"]
                    if "answers" not in qa and qa.get(_MARK) is not True:
                        help = "write `answers: []` for a question without an answer, or name a split that has them"
                        raise fail("E075", f"question `{id}` of `{name}` has no `answers`", help=help)
                    answers = qa.get("answers", [])
                    yield _example(
                        id,
                        question,
                        context,
                        [a["text"] for a in answers],
                        [a["answer_start"] for a in answers],
                        name,
                        qa.get(_MARK),
                    )
    except (KeyError, TypeError, AttributeError) as error:
        missing = f"a part lacks {error}" if isinstance(error, KeyError) else "a part has the wrong structure"
        help = "articles hold `paragraphs`; these hold `context` and `qas`, with `id`, `question`, `answers`"
        raise fail("E074", f"`{name}` is not in SQuAD's format", help=help, notes=[missing]) from None


def _flat(row: Any, index: int, name: str, columns: dict[str, str], before: int = 0) -> Example:
    if not isinstance(row, Mapping):
        raise fail("E074", f"record {index} of `{name}` is not an object", help=_FORMATS)
    values: dict[str, Any] = {}
    for field in FIELDS:
        column = columns.get(field, field)
        if column not in row:
            if field == "id":
                values["id"] = str(before + index)
                continue
            there = ", ".join(f"`{k}`" for k in row)
            raise fail(
                "E074",
                f"`{name}` has no column `{column}`",
                help=f'name it: `columns {{ {field} = "..." }}` in `data`',
                notes=[f"its columns are {there}"],
            )
        values[field] = row[column]
    answers = values["answers"]
    if isinstance(answers, Mapping):
        texts, starts = answers.get("text", []), answers.get("answer_start", [])
        if not isinstance(texts, Sequence) or not isinstance(starts, Sequence) or isinstance(texts, str):
            message = f"`text` and `answer_start` of record {index} of `{name}` are not lists"
            raise fail("E074", message, help=_ANSWERS)
    elif isinstance(answers, list):
        try:
            texts, starts = [a["text"] for a in answers], [a["answer_start"] for a in answers]
        except (TypeError, KeyError):
            raise fail("E074", f"the answers of record {index} of `{name}` lack `text` or `answer_start`") from None
    else:
        found = "null" if answers is None else type(answers).__name__
        raise fail("E074", f"the answers of record {index} of `{name}` are {found}, not a list", help=_ANSWERS)
    return _example(values["id"], values["question"], values["context"], texts, starts, name, row.get(_MARK))


def _example(
    id: Any,
    question: Any,
    context: Any,
    texts: Sequence[Any],
    starts: Sequence[Any],
    name: str,
    impossible: object = None,
) -> Example:
    """`impossible`: what SQuAD 2 says of a question; where nothing says so, one without answers has none."""
    if texts and not any(texts) and all(isinstance(text, str) for text in texts):
        texts, starts = (), ()  # an empty answer stands for none, wherever it begins
    fields = [("the question", question), ("the passage", context), *(("an answer", text) for text in texts)]
    for what, value in fields:
        if not isinstance(value, str) or not is_text(value):
            found = "null" if value is None else "broken text" if isinstance(value, str) else type(value).__name__
            help = f"{what} is {found}: make it a string, or remove the question"
            raise fail("E075", f"question `{id}` of `{name}` has a part that is not text", help=help)
    if not all(isinstance(x, int) and not isinstance(x, bool) for x in starts) or len(starts) != len(texts):
        help = "give each answer its `answer_start`: its character offset in the passage"
        raise fail("E075", f"question `{id}` of `{name}` has answers without an offset", help=help)
    if impossible is not None and impossible not in (True, False):
        help = "write true or false"
        raise fail("E075", f"`{_MARK}` of question `{id}` of `{name}` is {type(impossible).__name__}", help=help)
    if impossible is not None and bool(impossible) == bool(texts):
        what = "is marked as impossible but has an answer" if texts else "has no answer but is not marked as impossible"
        help = f"correct `{_MARK}` or the answers; answers that are only plausible belong in `plausible_answers`"
        raise fail("E075", f"question `{id}` {what}", help=help, notes=[f"the file is `{name}`"])
    for answer, start in zip(texts, starts, strict=True):
        if not answer.strip():
            help = "remove it: a question has answers, or none"
            raise fail("E075", f"an answer of question `{id}` of `{name}` is blank", help=help)
        if start < 0 or context[start : start + len(answer)] != answer:
            raise _offset(str(id), name, answer, start, context)
    return Example(str(id), question, context, tuple(texts), tuple(starts))


def _offset(id: str, name: str, answer: str, start: int, context: str) -> RecipeError:
    stands = context[max(start, 0) : max(start, 0) + len(answer)]
    right = context.find(answer)
    help = (
        f"write {right}: the answer begins there"
        if right >= 0
        else "the passage does not contain it: correct the answer, or remove the question"
    )
    notes = [f"`{name}` has `{answer[:60]}` at {start}; the passage has `{stands[:60]}` there"]
    if right < 0 and unicodedata.normalize("NFC", answer) in unicodedata.normalize("NFC", context):
        notes.append(
            "their accents are encoded differently: convert both to one Unicode normal form, and correct the offsets"
        )
    return fail("E075", f"an answer of question `{id}` is not at its offset", help=help, notes=notes)
