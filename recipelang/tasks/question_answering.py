"""Extractive question answering: passages to model inputs, logits to answers, answers to F1 and exact match.

Numpy and `tokenizers` only; torch and transformers are the engine's business.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recipelang.source import fail
from recipelang.tasks.answers import LONGEST, N_BEST, answers
from recipelang.tasks.hub import hub_rows
from recipelang.tasks.reading import load_tokenizer
from recipelang.tasks.squad_format import FIELDS, Example, read_file, read_records

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["FIELDS", "load_tokenizer"]

OUTPUTS = ("start_logits", "end_logits")
AUTO_MODEL = "AutoModelForQuestionAnswering"
SHORTEST = 8  # windows of fewer tokens could not overlap
LABELS = ("start_positions", "end_positions")
ITEMS = "windows"
PER_TOKEN = True
BLOCKS = False
CLASSES = False


@dataclass(frozen=True)
class Features:
    """Windows over passages: `items` rows of different lengths, padded with zeros to the longest."""

    input_ids: np.ndarray  # [items, longest] int32
    token_type_ids: np.ndarray  # [items, longest] int8
    lengths: np.ndarray  # [items] int32
    start_positions: np.ndarray  # [items] int32; 0 ([CLS]) where the answer lies outside the window
    end_positions: np.ndarray  # [items] int32, inclusive
    example_index: np.ndarray  # [items] int32
    offsets: np.ndarray  # [items, longest, 2] int32: characters of the passage; -1 outside it
    pad_id: int = 0
    sequences: int = 1

    @property
    def width(self) -> int:
        return int(self.input_ids.shape[1])

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Sequence[int] | np.ndarray, width: int | None = None, draw: int = 0) -> dict[str, np.ndarray]:
        return collate(self, rows, width)

    def inputs(self) -> tuple[np.ndarray, ...]:
        return self.input_ids, self.token_type_ids, self.lengths


def open_split(
    reference: str, split: str, columns: Mapping[str, str] | None = None, config: str | None = None
) -> tuple[Example, ...]:
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


def featurize(
    examples: Sequence[Example], tokenizer: Tokenizer, max_length: int, stride: int, names: Sequence[str] = ()
) -> Features:
    """Windows of at most `max_length` tokens; neighbours of a long passage share `stride` tokens."""
    questions = [e.question.strip() for e in examples]
    room = max(8, max_length // 2)
    tokenizer.enable_truncation(max_length=room)
    questions = [
        q if len(enc.ids) < room else q[: max((o[1] for o in enc.offsets), default=0)]
        for q, enc in zip(questions, tokenizer.encode_batch(questions), strict=True)
    ]
    tokenizer.enable_truncation(max_length=max_length, stride=_stride(stride, max_length), strategy="only_second")
    encoded = tokenizer.encode_batch(list(zip(questions, (e.context for e in examples), strict=True)))
    tokenizer.no_truncation()
    windows = [(i, w) for i, first in enumerate(encoded) for w in (first, *first.overflowing)]
    longest = max(len(w.ids) for _, w in windows)
    n = len(windows)
    ids = np.zeros((n, longest), np.int32)
    types = np.zeros((n, longest), np.int8)
    offsets = np.full((n, longest, 2), -1, np.int32)
    lengths = np.empty(n, np.int32)
    starts, ends = np.zeros(n, np.int32), np.zeros(n, np.int32)
    for row, (i, window) in enumerate(windows):
        length = lengths[row] = len(window.ids)
        ids[row, :length] = window.ids
        types[row, :length] = window.type_ids
        inside = np.array([s == 1 for s in window.sequence_ids])
        offsets[row, :length][inside] = np.asarray(window.offsets, np.int32)[inside]
        starts[row], ends[row] = _answer(examples[i], offsets[row, :length])
    index = np.array([i for i, _ in windows], np.int32)
    return Features(ids, types, lengths, starts, ends, index, offsets, tokenizer.token_to_id("[PAD]") or 0)


def _stride(stride: int, max_length: int) -> int:
    """The overlap must leave room for new tokens in every window."""
    return min(stride, max_length // 2 - 4)


def _answer(example: Example, offsets: np.ndarray) -> tuple[int, int]:
    """First and last token of the first answer in one window; (0, 0) when it is not all inside."""
    if not example.answers or not example.answers[0]:
        return 0, 0
    begin, end = example.starts[0], example.starts[0] + len(example.answers[0])
    first = np.flatnonzero((offsets[:, 0] <= begin) & (offsets[:, 1] > begin))
    last = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] >= end) & (offsets[:, 0] >= 0))
    if not len(first) or not len(last) or offsets[first[0], 0] < 0:
        return 0, 0
    return int(first[0]), int(last[-1])


def collate(features: Features, rows: Sequence[int] | np.ndarray, width: int | None = None) -> dict[str, np.ndarray]:
    """One batch, padded to its longest row rounded up to a multiple of 8, or to `width`."""
    rows = np.asarray(rows)
    lengths = features.lengths[rows]
    width = width or min(-(-int(lengths.max()) // 8) * 8, max(features.input_ids.shape[1], int(lengths.max())))
    mask = np.arange(width) < lengths[:, None]
    return {
        "input_ids": np.where(mask, features.input_ids[rows, :width], features.pad_id).astype(np.int64),
        "token_type_ids": features.token_type_ids[rows, :width].astype(np.int64),
        "attention_mask": mask.astype(np.int64),
        "start_positions": features.start_positions[rows].astype(np.int64),
        "end_positions": features.end_positions[rows].astype(np.int64),
    }


def kept(outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    return {"start": outputs.start_logits, "end": outputs.end_logits}


def measure(kept: Mapping[str, np.ndarray], features: Features, examples: Sequence[Example]) -> dict[str, float]:
    return score(decode(features, examples, kept["start"], kept["end"]), examples)


def decode(
    features: Features,
    examples: Sequence[Example],
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    n_best: int = N_BEST,
    max_answer_length: int = LONGEST,
) -> dict[str, str]:
    """The text that answers every example; there always is one."""
    found = answers(features, examples, start_logits, end_logits, n_best, max_answer_length)
    return {id: answer.text for id, answer in found.items()}


def score(predictions: Mapping[str, str], examples: Sequence[Example]) -> dict[str, float]:
    """F1 and exact match as SQuAD v1.1 defines them, as ratios: the best over the answers given, then the mean."""
    f1 = exact = 0.0
    for example in examples:
        said = predictions.get(example.id, "")
        answers = example.answers or ("",)
        f1 += max(_f1(said, a) for a in answers)
        exact += max(float(normalise(said) == normalise(a)) for a in answers)
    return {"f1": f1 / len(examples), "exact_match": exact / len(examples)}


_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, without punctuation, articles and extra white space (SQuAD v1.1)."""
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(_PUNCTUATION)).split())


def _f1(said: str, answer: str) -> float:
    a, b = normalise(said).split(), normalise(answer).split()
    common = sum((Counter(a) & Counter(b)).values())
    if not common:
        return 0.0
    precision, recall = common / len(a), common / len(b)
    return 2 * precision * recall / (precision + recall)
