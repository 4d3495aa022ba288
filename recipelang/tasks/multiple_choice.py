"""One of several answers to a question: every answer is read behind the question, and the highest score wins.

Read are CommonsenseQA and what is of its shape (`question`, `choices`, `answerKey`, nested or flat), WinoGrande
(`sentence` with a gap `_`, `option1`, `option2`), SWAG (`sent1`, `sent2`, `ending0` ...), PIQA (`goal`, `sol1`), RACE
(`article`, `question`, `options`, or several questions of an article in a record) and COPA (`premise`, `choice1`,
`choice2`, and the word `cause` or `effect` as the question). Questions need not have equal numbers of choices.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from recipelang.source import RecipeError, fail
from recipelang.tasks import encoding, meaning
from recipelang.tasks.encoding import Reader, Rows
from recipelang.tasks.meaning import Answers, Meaning, written
from recipelang.tasks.records import read_table
from recipelang.tasks.table import Table, sound_text
from recipelang.tasks.task import Counting, First, Task

QUESTION = ("question", "sentence", "sent1", "ctx", "goal", "stem", "query")
CONTEXT = ("article", "passage", "premise", "context")
CHOICES = ("choices", "endings", "options", "option", "ending", "sol", "choice", "answers")
ANSWER = ("answerKey", "answer", "label")

#: of numbered columns that count from 1: what an answer `1` of a published set means where the data leave it open
_NUMBERED = ("option",)
#: what published sets without answers hold instead
_NO_ANSWER = ("", "-1", "null", "nan", "?")
#: SWAG's: a question is one sentence, and the beginning of a second one that every choice ends
_BEFORE = {"sent1": "sent2"}
#: as the authors of SuperGLUE ask
_CAUSES = {"cause": "What was the cause of this?", "effect": "What happened as a result?"}


@dataclass(frozen=True)
class Example:
    first: str  # what all choices share
    choices: tuple[str, ...]
    answer: int


def read(reference: str, split: str, columns: Mapping[str, str] | None, config: str | None) -> Table:
    return _flat(read_table(reference, split, columns, config))


def decide(tables: Mapping[str, Table], wanted: Meaning) -> Meaning:
    """The columns, how answers name their choices, and whether questions are the two words of COPA. E148.

    What is missing `open_split` refuses.
    """
    several = list(tables.values())
    columns = _columns(several, wanted.columns)
    choices, question = columns["choices"], columns["question"]
    numbered = _numbered(choices, several[0].columns())
    asked = {str(row.get(question)).strip().casefold() for table in several for row in table.rows}
    before = _BEFORE.get(question, "")
    before = before if before in meaning.common(several) else ""
    read = [*columns.values(), *numbered, *([before] if before else [])]
    left = {n: len(t.rows) - len(meaning.without(t, columns["answer"], wanted.unlabelled)) for n, t in tables.items()}
    asked_of = [(t, i, c) for t in several for i, c in _all_choices(t, columns, wanted.unlabelled)]
    many = {len(texts) for _, _, (texts, _) in asked_of}
    said = ((written(row.get(columns["answer"])) for row in table.rows) for table in several)
    return wanted.model_copy(
        update={
            "columns": columns,
            "unused": meaning.unused(several, read),
            "left_out": meaning.counted(left),
            "unmatched": meaning.unmatched(wanted.unlabelled, said),
            "answers": wanted.answers or _answers(asked_of, columns),
            "before": before,
            "choices": (min(many), max(many)) if len(many) > 1 else None,
            "causes": "context" in columns and asked <= set(_CAUSES),
        }
    )


def _columns(tables: Sequence[Table], named: Mapping[str, str]) -> dict[str, str]:
    context = named.get("context") or meaning.found(tables, CONTEXT)
    question = named.get("question") or meaning.found(tables, QUESTION)
    if question is None and context is not None:  # a passage that the choices go on with
        question, context = context, None
    for there in (meaning.common(tables), tables[0].columns()):
        choices = named.get("choices") or next((c for c in CHOICES if c in there or _numbered(c, there)), None)
        if choices is not None:
            break
    answer = named.get("answer") or meaning.found(tables, ANSWER)
    found = {"question": question or "question", "choices": choices or "choices", "answer": answer or "answer"}
    return found if context is None or context == question else {**found, "context": context}


#: texts of a choice, and the keys that the data give them, if any
_Choices = tuple[tuple[str, ...], tuple[str, ...]]


def _all_choices(table: Table, columns: Mapping[str, str], nothing: Sequence[str]) -> Iterator[tuple[int, _Choices]]:
    for i in meaning.without(table, columns["answer"], nothing):
        with contextlib.suppress(RecipeError):  # `open_split` refuses it
            yield i, _choices(table, i, columns["choices"])


def _answers(asked: Sequence[tuple[Table, int, _Choices]], columns: Mapping[str, str]) -> Answers | None:
    """The one way in which all answers of all splits name a choice; where none does, the one in which most do.

    E148 where there are several, and they name different choices.
    """
    seen: dict[tuple[tuple[Answers, int], ...], str] = {}  # every way to read an answer, with one so read
    fits: Counter[Answers] = Counter()
    for table, i, (texts, keys) in asked:
        said = written(table.rows[i].get(columns["answer"]))
        ways: tuple[Answers, ...] = get_args(Answers)
        places = tuple((way, p) for way in ways if (p := _place(said, way, texts, keys)) is not None)
        seen.setdefault(places, said)
        fits.update(way for way, _ in places)
    fitting = [way for way, n in fits.items() if n == len(asked)]
    if not fitting:
        return fits.most_common(1)[0][0] if fits else None
    disputed = next((said for each, said in seen.items() if len({p for w, p in each if w in fitting}) > 1), None)
    if "key" in fitting or disputed is None:
        return "key" if "key" in fitting else fitting[0]
    if set(fitting) == {"place", "number"}:
        return "number" if columns["choices"] in _NUMBERED else "place"
    help = f"choose one: {' or '.join(f'`answer_is = {way}`' for way in fitting)} in `data`"
    notes = [f"`{disputed[:40]}` may be the {' or the '.join(fitting)} of a choice"]
    raise fail("E148", f"the answers of `{asked[0][0].name}` can be read in several ways", help=help, notes=notes)


def _place(said: str, way: Answers, texts: Sequence[str], keys: Sequence[str]) -> int | None:
    """Of the one choice that an answer names."""
    names, said = _names(way, texts, keys), said.upper() if way == "letter" else said
    return names.index(said) if names.count(said) == 1 else None


def _names(way: Answers, texts: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Of the choices, as answers may write them."""
    match way:
        case "key":
            return list(keys)
        case "letter":
            return [chr(ord("A") + i) for i in range(len(texts))]
        case "text":
            return [text.strip() for text in texts]
        case "place" | "number":
            return [str(i + (way == "number")) for i in range(len(texts))]


def _examples(table: Table, decided: Meaning, named: Mapping[str, str], reference: str) -> tuple[Example, ...]:
    columns = dict(decided.columns)
    if numbered := _numbered(columns["choices"], table.columns()):
        _without_gaps(table, numbered)
        del columns["choices"]
    if columns["answer"] not in table.columns():
        _labels_apart(Path(reference), named.get("answer", "label"))
    choices = ("choices", "option1", "ending0")
    table.needs(columns, named, {"question": QUESTION, "context": CONTEXT, "choices": choices, "answer": ANSWER})
    rows = meaning.without(table, decided.columns["answer"], decided.unlabelled)
    if not rows:
        raise fail("E074", f"no question of `{table.name}` has an answer", help="name another split")
    return tuple(_example(table, i, decided) for i in rows)


def _labels_apart(path: Path, column: str) -> None:
    """E074 for PIQA's own files, whose labels lie beside: what is read has one digest, and is one file."""
    beside = path.with_name(f"{path.stem}-labels.lst")
    if beside.is_file():
        help = f"copy each line of `{beside.name}` into its record as `{column}`"
        raise fail("E074", f"the answers of `{path.name}` are in another file", help=help)


def _flat(table: Table) -> Table:
    """CommonsenseQA's own files nest stem and choices in `question`; RACE's own hold all questions of an article."""
    first = table.rows[0]
    if isinstance(first.get("question"), Mapping):
        return Table(table.name, [_inner(table, i) for i in range(len(table.rows))], table.classes)
    if {"article", "questions", "options", "answers"} <= set(first):
        return Table(table.name, [row for i in range(len(table.rows)) for row in _asked(table, i)], table.classes)
    return table


def _inner(table: Table, i: int) -> dict[str, Any]:
    inner = table.rows[i].get("question")
    if not isinstance(inner, Mapping) or not {"stem", "choices"} <= set(inner):
        raise fail("E075", f"the question of {table.record(i)} lacks `stem` or `choices`")
    return {**table.rows[i], "question": inner["stem"], "choices": inner["choices"]}


def _asked(table: Table, i: int) -> Iterator[dict[str, Any]]:
    row = table.rows[i]
    lists = [row.get(name) for name in ("questions", "options", "answers")]
    if not all(isinstance(x, Sequence) for x in lists) or len({len(x) for x in lists}) != 1:  # type: ignore[arg-type]
        help = "give every question its options and its answer"
        raise fail("E075", f"{table.record(i)} has lists of different lengths", help=help)
    rest = {k: v for k, v in row.items() if k not in ("questions", "options", "answers")}
    for question, options, answer in zip(*lists, strict=True):  # type: ignore[arg-type]
        yield {**rest, "question": question, "options": options, "answer": answer}


def _numbered(prefix: str, there: Sequence[str]) -> dict[str, int]:
    """`option1`, `option2` for `option`, in the order of their numbers; `answerA`, `answerB` for `answers`."""
    found = {c: int(m[1]) for c in there if (m := re.fullmatch(re.escape(prefix) + r"_?(\d{1,4})", c))}
    if not found and prefix == "answers":
        letters = {c: re.fullmatch(r"answer_?(\d|[A-E])", c) for c in there}
        found = {c: int(m[1]) if m[1].isdigit() else ord(m[1]) - ord("@") for c, m in letters.items() if m}
    return dict(sorted(found.items(), key=lambda item: item[1])) if len(found) > 1 else {}


def _without_gaps(table: Table, columns: Mapping[str, int]) -> None:
    """E074 for choices of which one is missing, or there twice: places and numbers would be of others."""
    numbers = list(columns.values())
    if numbers[0] > 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        help = "number the columns of choices from 0 or 1, without gaps"
        notes = [f"its choices are {', '.join(f'`{c}`' for c in list(columns)[:12])}"]
        raise fail("E074", f"a column of choices is missing in `{table.name}`", help=help, notes=notes)


def _example(table: Table, i: int, decided: Meaning) -> Example:
    row, columns = table.rows[i], decided.columns
    question, answer = columns["question"], columns["answer"]
    first = table.text(i, question)
    texts, keys = _choices(table, i, columns["choices"])
    if len(texts) < 2:
        raise fail(
            "E075",
            f"{table.record(i)} has fewer than two choices",
            help="a multiple-choice question needs at least two choices",
        )
    said = written(row.get(answer))
    ways = (decided.answers,) if decided.answers else get_args(Answers)
    right = next((p for way in ways if (p := _place(said, way, texts, keys)) is not None), None)
    if right is None:
        notes = [f"`{answer}` is `{said[:40]}`", f"choices are {', '.join(f'`{k[:40]}`' for k in keys or texts)}"]
        if any(said in _names(way, texts, keys) for way in ways):
            what = f"the answer of {table.record(i)} matches two choices"
            raise fail("E075", what, help="give every choice its own text", notes=notes)
        help = f'name another split, or skip these questions: `unlabelled = ["{said[:40]}"]` in `data`'
        if decided.answers and decided.answers != "key":
            notes = [notes[0], f"answers are read as the {decided.answers} of a choice"]
        if said not in _NO_ANSWER:
            help = (
                "write all answers in one form: as the key, the letter, the text, the place or the number of a choice"
            )
        raise fail("E075", f"the answer of {table.record(i)} matches none of its choices", help=help, notes=notes)
    if "context" in columns:
        return _of_passage(table.text(i, columns["context"]), first, texts, right, decided.causes)
    if "_" in first and question == "sentence":  # the gap and all behind it differ from choice to choice
        first, _, rest = first.partition("_")
        return Example(first.strip(), tuple((t + rest).strip() for t in texts), right)
    if decided.before:
        texts = tuple(f"{table.text(i, decided.before)} {t}" for t in texts)
    return Example(first, texts, right)


def _of_passage(passage: str, question: str, texts: Sequence[str], right: int, causes: bool) -> Example:
    """The passage first; question and choice behind it, or the choice in the question's gap, as RACE is read."""
    if causes:
        question = _CAUSES.get(question.strip().casefold(), question)
    if "_" in question:
        return Example(passage, tuple(question.replace("_", t) for t in texts), right)
    return Example(passage, tuple(f"{question} {t}" for t in texts), right)


def _choices(table: Table, i: int, column: str) -> _Choices:
    """Texts and the keys that the data give them, if any. E075."""
    given = table.rows[i].get(column)
    if given is None:
        return _of_columns(table, i, list(_numbered(column, table.columns()))), ()
    where = f"a choice of {table.record(i)}"
    if isinstance(given, Mapping) and isinstance(given.get("text"), Sequence):
        texts, keys = given["text"], given.get("label")
        if keys is not None and (not isinstance(keys, Sequence) or len(keys) != len(texts)):
            help = "give every choice a `text` and a `label`"
            raise fail(
                "E075", f"the choices of {table.record(i)} have different numbers of texts and labels", help=help
            )
        given = texts if keys is None else [{"text": t, "label": k} for t, k in zip(texts, keys, strict=True)]
    if not isinstance(given, Sequence) or isinstance(given, str):
        help = "write a list of strings, or `text` and `label` for each choice"
        raise fail("E075", f"the choices of {table.record(i)} are {type(given).__name__}, not a list", help=help)
    if given and all(isinstance(c, Mapping) and {"text", "label"} <= set(c) for c in given):
        keys = [written(c["label"]) for c in given]
        if (twice := next((key for key in keys if keys.count(key) > 1), None)) is not None:
            help = "give every choice its own key"
            raise fail("E075", f"two choices of {table.record(i)} have the key `{twice[:40]}`", help=help)
        return tuple(sound_text(c["text"], where) for c in given), tuple(keys)
    return tuple(sound_text(c, where) for c in given), ()


def _of_columns(table: Table, i: int, columns: Sequence[str]) -> tuple[str, ...]:
    """Of numbered columns; the last ones are empty where a question has fewer choices than others."""
    row = table.rows[i]
    there = [k for k, c in enumerate(columns) if row.get(c) is not None and str(row[c]).strip()]
    columns = columns[: there[-1] + 1 if there else 0]
    if len(there) < len(columns):
        empty = next(c for k, c in enumerate(columns) if k not in there)
        help = "leave only the last choices of a question empty"
        raise fail("E075", f"the choice `{empty}` of {table.record(i)} is empty", help=help)
    return tuple(table.text(i, c) for c in columns)


def featurize(
    examples: Sequence[Example], tokenizer: Reader, max_length: int, stride: int, names: Sequence[str] = ()
) -> Rows:
    """One row a question, of as many sequences as it has choices, and empty ones where others have more."""
    pairs = [(e.first, c) for e in examples for c in e.choices]
    many = [len(e.choices) for e in examples]
    blank = sum(not all(c.strip() for c in e.choices) for e in examples)
    return replace(encoding.rows_of(tokenizer, pairs, [e.answer for e in examples], max_length, many), blank=blank)


def measure(
    kept: Mapping[str, np.ndarray], features: Rows, examples: Sequence[Example], how: Counting | None = None
) -> dict[str, float]:
    return {"accuracy": int((kept["logits"].argmax(1) == features.labels).sum()) / len(features)}


TASK = Task(
    "multiple_choice",
    "AutoModelForMultipleChoice",
    prepare="recipelang.engine.absent:prepare",
    fields=("question", "context", "choices", "answer"),
    needs=("question", "choices", "answer"),
    settings=("unlabelled", "answer_is"),
    items="questions",
    shortest=5,  # a token of the question, and one of the choice
    read=read,
    decide=decide,
    examples=_examples,
    load_tokenizer=encoding.load_reader,
    featurize=featurize,
    forms=(Rows,),
    learns="choices",
    measure=measure,
    first=First("hf://google-bert/bert-base-uncased", "hf://tau/commonsense_qa", batch=16),
)
