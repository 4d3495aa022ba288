"""Texts to rows of tokens, kept one behind the other, and batches of them, padded to their longest.

Numpy and `tokenizers` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recipelang.storage.growing import Growing, release
from recipelang.tasks import reading
from recipelang.tasks.config_defaults import padding, token_types

if TYPE_CHECKING:
    from tokenizers import Tokenizer

IGNORED = -100  # of transformers' losses
_AT_ONCE = 4096  # texts: encodings take far more memory than tokens
#: arrays of rows that lie one behind the other
_GROWING = ("tokens", "types", "labels", "words")
_PADS = ("[PAD]", "<pad>", "<|pad|>")


@dataclass(frozen=True)
class Reader:
    """The tokenizer of a model, the token it pads with, and whether it tells the two texts of a pair apart."""

    tokenizer: Tokenizer
    pad_id: int
    types: bool


def load_reader(folder: Path) -> Reader:
    tokenizer = reading.load_tokenizer(folder)
    config = reading.model_config(folder)
    return Reader(tokenizer, pad_id(config, tokenizer), token_types(config) > 1)


def pad_id(config: dict[str, Any], tokenizer: Tokenizer) -> int:
    """The config's, else the tokenizer's by its usual names, else the end token.

    Padding is masked, whatever it is, but some models count positions by the config's, or find the end of a text by it.
    """
    end = config.get("eos_token_id")
    known = (padding(config), *map(tokenizer.token_to_id, _PADS), *(end if isinstance(end, list) else [end]))
    return next((int(i) for i in known if isinstance(i, int) and i >= 0), 0)  # older tools write -1 for none


@dataclass(frozen=True)
class Rows:
    """Sequences of tokens: `items` of them, or `items` times `choices`."""

    tokens: np.ndarray  # [all] int32
    types: np.ndarray | None  # [all] int8
    starts: np.ndarray  # [items] or [items, choices] int64: where a sequence begins in `tokens`
    sizes: np.ndarray  # as starts, int32; 0 of a choice that an item lacks and others have
    labels: np.ndarray  # [items] int64, or fp32 of numbers, or int64 [all] where every token has its own
    pad_id: int
    words: np.ndarray | None = None  # [all] int32: the word that a token begins, -1: none. Every token has a label then
    names: tuple[str, ...] = ()  # of the classes
    limit: int = 0  # tokens that a batch is never wider than; 0: as wide as a multiple of 8
    blank: int = 0  # examples with a text of nothing but white space
    cut: int = 0  # items of which `max_length` has cut something off
    tokenless: int = 0  # words with a label that the tokenizer makes no token of

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def lengths(self) -> np.ndarray:
        return self.sizes if self.sizes.ndim == 1 else self.sizes.max(1)

    @property
    def width(self) -> int:
        return int(self.sizes.max())

    @property
    def sequences(self) -> int:
        """Of an item."""
        return 1 if self.sizes.ndim == 1 else self.sizes.shape[1]

    def inputs(self) -> tuple[np.ndarray, ...]:
        """All that the model reads."""
        return (self.tokens, *(() if self.types is None else (self.types,)), self.starts, self.sizes)

    @classmethod
    def joined(cls, parts: Iterable[Rows], examples: int) -> Rows:
        """Rows of neighbouring pieces of the same examples, each of so many, the last of as many or fewer."""
        found, sizes = dict[str, Growing](), list[np.ndarray]()
        blank = cut = tokenless = 0
        last: Rows | None = None
        for last in parts:
            for name in _GROWING:
                if (values := getattr(last, name)) is not None:
                    found.setdefault(name, Growing(values.dtype)).add(values)
            sizes.append(np.array(last.sizes))
            blank, cut, tokenless = blank + last.blank, cut + last.cut, tokenless + last.tokenless
            release([last.tokens])
        assert last is not None, "there are examples"
        width = max((s.shape[-1] for s in sizes), default=0) if last.sizes.ndim > 1 else 0
        wide = [np.pad(s, ((0, 0), (0, width - s.shape[1]))) if width else s for s in sizes]
        whole = np.concatenate(wide)
        starts = begins(whole.reshape(-1)).reshape(whole.shape)
        arrays: dict[str, Any] = {name: values.array() for name, values in found.items()}
        starts = np.where(whole > 0, starts, 0) if width else starts
        arrays |= {"sizes": whole, "starts": starts}
        return replace(last, **arrays, blank=blank, cut=cut, tokenless=tokenless)

    def batch(self, rows: Sequence[int] | np.ndarray, width: int | None = None, draw: int = 0) -> dict[str, np.ndarray]:
        rows = np.asarray(rows)
        padded = Padded(self.starts[rows], self.sizes[rows], width, self.limit)
        found = {"input_ids": padded.of(self.tokens, self.pad_id), "attention_mask": padded.mask}
        if self.types is not None:
            found["token_type_ids"] = padded.of(self.types, 0)
        found["labels"] = padded.of(self.labels, IGNORED) if self.words is not None else self.labels[rows]
        return found


class Padded:
    """Rows of tokens side by side, padded at the end: to `width`, or else to the longest rounded up to a multiple of 8,
    though not beyond `limit`, unless that is 0.
    """

    def __init__(self, starts: np.ndarray, sizes: np.ndarray, width: int | None, limit: int) -> None:
        longest = int(sizes.max())
        width = width or min(-(-longest // 8) * 8, max(longest, limit or longest + 8))
        self.there = np.arange(width) < sizes[..., None]
        self.places = (starts[..., None] + np.arange(width))[self.there]

    @property
    def mask(self) -> np.ndarray:
        return self.there.astype(np.int64)

    def of(self, values: np.ndarray, fill: int) -> np.ndarray:
        """int64, of values that lie one behind the other."""
        out = np.full(self.there.shape, fill, np.int64)
        out[self.there] = values[self.places]
        return out


def drawn(rows: int, count: int, seed: int | None) -> np.ndarray | slice:
    """`count` of the rows, or all, drawn from all of them and left in their order; without a seed the first."""
    if count >= rows or seed is None:
        return slice(count)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def encode(reader: Reader, texts: Iterable[Any], max_length: int, *, words: bool = False) -> Iterator[Any]:
    """Encodings of texts or pairs, or of lists of `words`, at most `max_length` tokens: the longer of a pair is cut."""
    return chain.from_iterable(_encode(reader, texts, max_length, words))


def _encode(reader: Reader, texts: Iterable[Any], max_length: int, words: bool = False) -> Iterator[Sequence[Any]]:
    """Many at once."""
    each = iter(texts)
    reader.tokenizer.enable_truncation(max_length=max_length, strategy="longest_first")
    try:
        while some := list(islice(each, _AT_ONCE)):
            yield reader.tokenizer.encode_batch(some, is_pretokenized=words)
    finally:
        reader.tokenizer.no_truncation()


def rows_of(
    reader: Reader,
    texts: Iterable[Any],
    labels: Sequence[int] | np.ndarray | Growing,
    max_length: int,
    choices: Sequence[int] | None = None,
) -> Rows:
    """One row a text, or of neighbouring texts as many a row as `choices` says. An array of labels keeps its type; one
    that grows does so while the texts are read."""
    found = Tokens(reader.types)
    cut: list[int] = []
    for encodings in _encode(reader, texts, max_length):
        cut += [found.sizes.size + n for n, e in enumerate(encodings) if is_cut(e, max_length)]
        found.several([e.ids for e in encodings], (e.type_ids for e in encodings))
    if isinstance(labels, Growing):
        labels = labels.array()
    labels = labels if isinstance(labels, np.ndarray) else np.asarray(labels, np.int64)
    rows = found.rows(labels, reader.pad_id, choices, max_length)
    of = None if choices is None else np.repeat(np.arange(len(choices)), choices)
    return replace(rows, cut=len(cut) if of is None else len(np.unique(of[cut])))


def is_cut(encoding: Any, max_length: int) -> bool:
    """What was cut off is kept beside an encoding; looking there is not free."""
    return len(encoding) >= max_length and bool(encoding.overflowing)


class Tokens:
    """Sequences as they are made, one behind the other, in little memory."""

    def __init__(self, types: bool) -> None:
        self.ids, self.sizes = Growing(np.int32), Growing(np.int32)
        self.types = Growing(np.int8) if types else None

    def add(self, ids: Sequence[int] | np.ndarray, types: Sequence[int] | np.ndarray = ()) -> None:
        self.ids.add(ids)
        self.sizes.one(len(ids))
        if self.types is not None:
            self.types.add(types)

    def several(self, ids: Sequence[Sequence[int]], types: Iterable[Sequence[int]]) -> None:
        self.sizes.add(list(map(len, ids)))
        self.ids.add(list(chain.from_iterable(ids)))
        if self.types is not None:
            self.types.add(list(chain.from_iterable(types)))

    def rows(self, labels: np.ndarray, pad_id: int, choices: Sequence[int] | None = None, limit: int = 0) -> Rows:
        """One a sequence, or of neighbouring sequences as many a row as `choices` says."""
        sizes = self.sizes.array()
        starts = begins(sizes)
        if choices is not None:
            many = np.asarray(choices)[:, None]
            place = np.arange(many.max())
            at = np.where(place < many, np.cumsum(many)[:, None] - many + place, 0)  # [items, choices]
            starts, sizes = starts[at], np.where(place < many, sizes[at], np.int32(0))
        types = None if self.types is None else self.types.array()
        return Rows(self.ids.array(), types, starts, sizes, labels, pad_id, limit=limit)


def begins(sizes: np.ndarray) -> np.ndarray:
    """Where each of several pieces begins that lie one behind the other, int64."""
    starts = np.zeros(len(sizes), np.int64)
    np.cumsum(sizes[:-1], dtype=np.int64, out=starts[1:])
    return starts
