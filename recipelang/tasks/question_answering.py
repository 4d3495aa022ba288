"""Extractive question answering: passages to model inputs, logits to answers, answers to F1 and exact match.

Numpy and `tokenizers` only; torch and transformers are the engine's business.
"""

from __future__ import annotations

import operator
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recipelang.source import fail
from recipelang.storage.growing import Growing
from recipelang.tasks import encoding, squad_scores
from recipelang.tasks.answers import answers
from recipelang.tasks.hub import hub_rows
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.reading import load_tokenizer
from recipelang.tasks.squad_format import FIELDS, Example, Examples, overlap, read_file, read_records
from recipelang.tasks.task import Counting, First, Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer

OUTPUTS = ("start_logits", "end_logits")

#: questions that are encoded at a time: encodings take far more memory than tokens
_AT_ONCE = 256


@dataclass(frozen=True)
class Features:
    """Windows over passages: `items` rows of different lengths, one behind the other."""

    tokens: np.ndarray  # [all] int32
    types: np.ndarray  # [all] int8
    places: np.ndarray  # [all, 2] int32: characters of the passage that a token stands for; -1 outside it
    starts: np.ndarray  # [items] int64: where a row begins in these
    lengths: np.ndarray  # [items] int32
    start_positions: np.ndarray  # [items] int32; 0 ([CLS]) where the answer lies outside the window
    end_positions: np.ndarray  # [items] int32, inclusive
    example_index: np.ndarray  # [items] int32
    pad_id: int = 0
    sequences: int = 1
    lost: tuple[str, ...] = ()  # questions with an answer that no window holds
    blank: int = 0  # questions, or passages, of nothing but white space
    cut: int = 0  # questions of which something was cut off; a passage is read in windows, and whole

    @property
    def width(self) -> int:
        return int(self.lengths.max())

    @property
    def offsets(self) -> np.ndarray:
        """[items, longest, 2]: `places` of all rows."""
        out = np.full((len(self), self.width, 2), -1, np.int32)
        out[np.arange(self.width) < self.lengths[:, None]] = self.places[self._all()]
        return out

    def _all(self) -> np.ndarray:
        """Places of the tokens of all rows in order: rows may have been left out."""
        whole = np.repeat(self.starts - encoding.begins(self.lengths), self.lengths)
        return whole + np.arange(len(whole))

    def learnable(self, examples: Sequence[Example]) -> Features:
        """Without the windows of questions that are `lost`: they would teach that there is no answer. E075."""
        if not self.lost:
            return self
        lost = set(self.lost)
        rows = np.flatnonzero([examples[i].id not in lost for i in self.example_index])
        if not len(rows):
            help = "raise `max_length`, or check how the tokenizer splits an answer"
            raise fail("E075", "no window holds the answer of any question", help=help)
        names = ("starts", "lengths", "start_positions", "end_positions", "example_index")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    @classmethod
    def joined(cls, parts: Iterable[Features], examples: int) -> Features:
        """Windows of neighbouring pieces of the same questions, each of so many, the last of as many or fewer."""
        found, pad_id = _Windows(), 0
        for number, part in enumerate(parts):
            for name in ("tokens", "types", "lengths"):
                getattr(found, name).add(getattr(part, name))
            found.places.add(part.places.reshape(-1))
            found.starts.add(part.start_positions)
            found.ends.add(part.end_positions)
            found.index.add(part.example_index + np.int32(number * examples))
            found.lost += part.lost
            found.blank, found.cut, pad_id = found.blank + part.blank, found.cut + part.cut, part.pad_id
        return found.features(pad_id)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Sequence[int] | np.ndarray, width: int | None = None, draw: int = 0) -> dict[str, np.ndarray]:
        return collate(self, rows, width)

    def inputs(self) -> tuple[np.ndarray, ...]:
        return self.tokens, self.types, self.starts, self.lengths


def read(reference: str, split: str, columns: Mapping[str, str] | None, config: str | None) -> Examples:
    """Examples of a data set: a file, `lib://facts`, or `hf://owner/name`."""
    scheme, separator, rest = reference.partition("://")
    if not separator:
        return read_file(Path(reference), columns)
    if scheme == "lib":
        from recipelang.tasks.facts import SPLITS, generate

        if rest != "facts":
            raise fail("E047", f"the library has no data set `{rest}`", help="it has `lib://facts`")
        if split not in SPLITS:
            raise fail(
                "E074", f"`{reference}` has no split `{split}`", help=f"it has {', '.join(f'`{s}`' for s in SPLITS)}"
            )
        return read_records(generate(split), reference)
    if scheme == "hf":
        return read_records(hub_rows(rest, split, config), reference, columns)
    raise fail("E047", f"data cannot be read from `{scheme}://`", help="use `hf://owner/name`, `lib://facts` or a file")


def decide(splits: Mapping[str, Examples], wanted: Meaning) -> Meaning:
    """Columns have one name each; questions without an answer are counted."""
    flat = any(e.flat for e in splits.values())
    fields = [f for f in FIELDS if f != "id" or any(e.flat and e.with_ids for e in splits.values())]
    none = {name: sum(not e.answers for e in examples) for name, examples in splits.items()}
    return wanted.model_copy(
        update={
            "columns": {field: wanted.columns.get(field, field) for field in fields} if flat else {},
            "unused": tuple(dict.fromkeys(c for e in splits.values() for c in e.unused)),
            "unanswerable": none if any(none.values()) else {},
        }
    )


def _examples(examples: Examples, decided: Meaning, named: Mapping[str, str], reference: str) -> Examples:
    if not examples.marked and not any(e.answers for e in examples):
        name = reference.rsplit("/", 1)[-1]
        help = "name a split with answers; SQuAD 2 marks unanswerable questions with `is_impossible`"
        raise fail("E074", f"no question of `{name}` has an answer", help=help)
    return examples


def featurize(
    examples: Sequence[Example], tokenizer: Tokenizer, max_length: int, stride: int, names: Sequence[str] = ()
) -> Features:
    """Windows of at most `max_length` tokens; neighbours of a long passage share `stride` tokens, at most `overlap`'s.

    The target of a window without the answer, and of a question without one, is its first token.
    """
    assert stride <= overlap(max_length), "the plan knows how much windows can share"
    found = _Windows()
    for first in range(0, len(examples), _AT_ONCE):
        _encode(examples[first : first + _AT_ONCE], first, tokenizer, max_length, stride, found)
    return found.features(tokenizer.token_to_id("[PAD]") or 0)


class _Windows:
    """Windows as they are made, in little memory."""

    def __init__(self) -> None:
        self.tokens, self.types, self.places = Growing(np.int32), Growing(np.int8), Growing(np.int32)
        self.lengths, self.index = Growing(np.int32), Growing(np.int32)
        self.starts, self.ends = Growing(np.int32), Growing(np.int32)
        self.lost: list[str] = []
        self.blank = self.cut = 0

    def features(self, pad_id: int) -> Features:
        lengths = self.lengths.array()
        return Features(
            self.tokens.array(),
            self.types.array(),
            self.places.array().reshape(-1, 2),
            encoding.begins(lengths),
            lengths,
            self.starts.array(),
            self.ends.array(),
            self.index.array(),
            pad_id,
            lost=tuple(self.lost),
            blank=self.blank,
            cut=self.cut,
        )


def _encode(
    examples: Sequence[Example], before: int, tokenizer: Tokenizer, max_length: int, stride: int, found: _Windows
) -> None:
    """`before`: how many examples come before these."""
    whole = [e.question.strip() for e in examples]
    room = max(8, max_length // 2)
    tokenizer.enable_truncation(max_length=room)
    questions = [
        q if len(enc.ids) < room else q[: max((o[1] for o in enc.offsets), default=0)]
        for q, enc in zip(whole, tokenizer.encode_batch(whole), strict=True)
    ]
    found.cut += sum(map(operator.ne, whole, questions))
    found.blank += sum(not q or not e.context.strip() for q, e in zip(whole, examples, strict=True))
    tokenizer.enable_truncation(max_length=max_length, stride=stride, strategy="only_second")
    encoded = tokenizer.encode_batch(list(zip(questions, (e.context for e in examples), strict=True)))
    tokenizer.no_truncation()
    for number, (example, first) in enumerate(zip(examples, encoded, strict=True), before):
        windows = (first, *first.overflowing)
        offsets = np.full((len(windows), max(len(w.ids) for w in windows), 2), -1, np.int32)
        for own, window in zip(offsets, windows, strict=True):
            inside = np.array([s == 1 for s in window.sequence_ids])
            own[: len(inside)][inside] = np.asarray(window.offsets, np.int32)[inside]
        _with_marks(example.context, offsets)
        spans = _answered(example, offsets)
        if example.answers and not any(end for _, end in spans):
            found.lost.append(example.id)
        for own, window, (start, end) in zip(offsets, windows, spans, strict=True):
            found.tokens.add(window.ids)
            found.types.add(window.type_ids)
            found.places.add(own[: len(window.ids)])
            found.lengths.one(len(window.ids))
            found.index.one(number)
            found.starts.one(start)
            found.ends.one(end)


def _answered(example: Example, offsets: np.ndarray) -> list[tuple[int, int]]:
    """First and last token of the answer in each window; (0, 0) where it is not, or there is none."""
    if not example.answers:
        return [(0, 0)] * len(offsets)
    span = example.starts[0], example.starts[0] + len(example.answers[0])
    spans = _spans(span, offsets)
    if not any(end for _, end in spans):
        nearest = _nearest(span, offsets)
        spans = _spans(nearest, offsets) if nearest else spans
    return spans


@cache
def _marks() -> re.Pattern[str]:
    """Characters that belong to the one before them: accents that combine, dependent vowels, tones."""
    several = "".join(c for c in map(chr, range(sys.maxunicode)) if unicodedata.category(c)[0] == "M")
    return re.compile(f"[{several}]+")


def _with_marks(context: str, offsets: np.ndarray) -> None:
    """Marks that the tokenizer drops behind a token are part of the text that the token stands for."""
    if context.isascii():
        return
    for mark in _marks().finditer(context):
        begin, end = mark.span()
        if not ((offsets[..., 0] <= begin) & (offsets[..., 1] > begin)).any():
            offsets[..., 1][(offsets[..., 1] == begin) & (offsets[..., 0] >= 0) & (offsets[..., 0] < begin)] = end


def _nearest(span: tuple[int, int], offsets: np.ndarray) -> tuple[int, int] | None:
    """What the tokens of all windows hold of an answer whose ends the tokenizer drops; none where no token does."""
    begin, end = span
    inside = (offsets[..., 0] >= 0) & (offsets[..., 0] < end) & (offsets[..., 1] > begin)
    if not inside.any():
        return None
    return max(begin, int(offsets[..., 0][inside].min())), min(end, int(offsets[..., 1][inside].max()))


def _spans(span: tuple[int, int], windows: np.ndarray) -> list[tuple[int, int]]:
    return [_tokens(*span, offsets) for offsets in windows]


def _tokens(begin: int, end: int, offsets: np.ndarray) -> tuple[int, int]:
    """First and last token of an answer in one window; (0, 0) when it is not all inside."""
    first = np.flatnonzero((offsets[:, 0] <= begin) & (offsets[:, 1] > begin))
    last = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] >= end) & (offsets[:, 0] >= 0))
    if not len(first) or not len(last) or offsets[first[0], 0] < 0:
        return 0, 0
    return int(first[0]), int(last[-1])


def collate(features: Features, rows: Sequence[int] | np.ndarray, width: int | None = None) -> dict[str, np.ndarray]:
    """One batch, never wider than the longest row of all."""
    rows = np.asarray(rows)
    padded = encoding.Padded(features.starts[rows], features.lengths[rows], width, features.width)
    return {
        "input_ids": padded.of(features.tokens, features.pad_id),
        "token_type_ids": padded.of(features.types, 0),
        "attention_mask": padded.mask,
        "start_positions": features.start_positions[rows].astype(np.int64),
        "end_positions": features.end_positions[rows].astype(np.int64),
    }


def kept(outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    return {"start": outputs.start_logits, "end": outputs.end_logits}


def measure(
    kept: Mapping[str, np.ndarray], features: Features, examples: Sequence[Example], how: Counting | None = None
) -> dict[str, float]:
    found = answers(features, examples, kept["start"], kept["end"])
    threshold = how.null_threshold if how else None
    if threshold is None:
        return squad_scores.version_1({id: answer.text for id, answer in found.items()}, examples)
    said = {id: "" if answer.null - answer.score > threshold else answer.text for id, answer in found.items()}
    return squad_scores.version_2(said, examples)


TASK = Task(
    "question_answering",
    "AutoModelForQuestionAnswering",
    outputs=OUTPUTS,
    labels=("start_positions", "end_positions"),
    head_width=2,  # a start and an end
    per_token=True,
    fields=FIELDS,
    settings=("stride",),
    items="windows",
    shortest=8,  # windows of fewer tokens could not overlap
    read=read,
    decide=decide,
    examples=_examples,
    load_tokenizer=load_tokenizer,
    featurize=featurize,
    forms=(Features,),
    kept=kept,
    measure=measure,
    first=First("hf://google-bert/bert-base-uncased", "hf://rajpurkar/squad", batch=16, rate="8e-5", max_length=384),
)
