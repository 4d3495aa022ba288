"""Language modelling from left to right: texts are joined, cut into blocks of `max_length` tokens, and every next
token is predicted. Or from chats: each is a row of its own, and the tokens of its answers are predicted (`chat_rows`).

Texts stand one after another, each closed by the end token where the model has one; what is left of the last block
is dropped, as there is nothing to fill it with, unless it is all there is. Numpy and `tokenizers` only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recipelang.source import fail
from recipelang.storage.growing import Growing
from recipelang.tasks import chat_rows, hub, meaning, reading, records
from recipelang.tasks.chat_rows import ChatRows
from recipelang.tasks.chat_template import read_template
from recipelang.tasks.chats import Chat, chats_of, column_of
from recipelang.tasks.encoding import IGNORED, drawn, pad_id
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.rows import Portions
from recipelang.tasks.shards import ENDINGS, ending, files
from recipelang.tasks.table import Table, joined, objects
from recipelang.tasks.task import Counting, First, Task

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_FORMATS = "a `.txt` file is one text; other files hold records with a column `text`"
#: characters encoded at a time, and of a longer text those around a portion that its tokens may hang on
_PORTION, _AROUND = 1 << 16, 2_000
#: portions of a longer text that are encoded at the same time
_TOGETHER = 8
#: tokens before and behind a seam that both portions must agree on
_AGREE = 16


@dataclass(frozen=True)
class Blocks:
    """`items` rows of tokens, all of one length but for a single short one."""

    input_ids: np.ndarray  # [items, length] int32
    sequences: int = 1

    @property
    def lengths(self) -> np.ndarray:
        return np.full(len(self), self.input_ids.shape[1], np.int32)

    @property
    def width(self) -> int:
        return int(self.input_ids.shape[1])

    def __len__(self) -> int:
        return len(self.input_ids)

    def inputs(self) -> tuple[np.ndarray, ...]:
        return (self.input_ids,)

    def batch(self, rows: Sequence[int] | np.ndarray, width: int | None = None, draw: int = 0) -> dict[str, np.ndarray]:
        ids = self.input_ids[np.asarray(rows)].astype(np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids), "labels": ids.copy()}

    def some(self, count: int, seed: int | None) -> Self:
        """`count` of the rows, drawn from all of them and left in their order; without a seed the first."""
        return replace(self, input_ids=self.input_ids[drawn(len(self), count, seed)])

    def predicted(self) -> int:
        """Tokens whose probability is asked for: all but the first of each row."""
        return len(self) * (self.width - 1)


@dataclass(frozen=True)
class Reader:
    """The tokenizer of a model, and the token that ends a text."""

    tokenizer: Tokenizer
    end: int | None
    folder: Path = Path()  # of the model, whose template chats need


def read(reference: str, split: str, columns: Mapping[str, str] | None, config: str | None) -> Table | list[str]:
    """A table, or texts without columns: one of a `.txt` file, or a list of strings. E074."""
    scheme, separator, rest = reference.partition("://")
    columns = columns or {}
    column = columns.get("text", columns.get("messages"))
    if not separator:
        return _read_file(Path(reference), column)
    if scheme == "hf":
        return _table(hub.hub_rows(rest, split, config), reference, column)
    raise fail("E047", f"texts cannot be read from `{scheme}://`", help="use `hf://owner/name` or a file")


def decide(splits: Mapping[str, Table | list[str]], wanted: Meaning) -> Meaning:
    """The column of the chats, or of the texts, where there are columns. E074."""
    tables = [t for t in splits.values() if isinstance(t, Table)]
    column = wanted.columns.get("messages")
    if column is not None and "text" in wanted.columns:
        help = "remove one of them: data are texts or chats"
        raise fail("E074", "`text` and `messages` are both named", help=help)
    if tables and column is None and not wanted.columns and not _holds_text(tables):
        column = column_of(tables)
    if column is None:
        return decide_texts(splits, wanted)
    plain = next((name for name, found in splits.items() if not isinstance(found, Table)), None)
    if plain is not None:
        help = "put them into a block of their own: `data NAME { ... }`"
        raise fail("E074", f"`{plain}` holds texts, and other splits hold chats", help=help)
    return wanted.model_copy(update={"columns": {"messages": column}, "unused": meaning.unused(tables, [column])})


def decide_texts(splits: Mapping[str, Table | list[str]], wanted: Meaning) -> Meaning:
    """The column of the texts, where there are columns."""
    tables = [t for t in splits.values() if isinstance(t, Table)]
    if not tables:
        return wanted
    column = wanted.columns.get("text") or _column(tables)
    return wanted.model_copy(update={"columns": {"text": column}, "unused": meaning.unused(tables, [column])})


def _examples(
    found: Table | list[str], decided: Meaning, named: Mapping[str, str], reference: str
) -> tuple[str, ...] | tuple[Chat, ...]:
    if isinstance(found, Table) and "messages" in decided.columns:
        return chats_of(found, decided.columns["messages"])
    return texts_of(found, decided, named, reference)


def texts_of(found: Table | list[str], decided: Meaning, named: Mapping[str, str], reference: str) -> tuple[str, ...]:
    """Those that hold something."""
    texts = _texts(found, decided.columns.get("text", "text")) if isinstance(found, Table) else found
    kept = tuple(t for t in texts if t.strip())
    if not kept:
        raise fail("E074", f"`{reference.rsplit('/', 1)[-1]}` holds no text", help=_FORMATS)
    return kept


def _read_file(path: Path, column: str | None) -> Table | list[str]:
    """Of a file, a folder of shards, or those that a pattern names."""
    found = [_read_one(file, column) for file in files(path)]
    tables = [each for each in found if isinstance(each, Table)]
    if not tables:
        return [text for each in found if not isinstance(each, Table) for text in each]
    if len(tables) < len(found):
        help = "write all of them as records, or all of them as texts"
        raise fail("E211", f"some files of `{path.name}` hold records, and others texts", help=help)
    return joined(path.name, tables)


def _read_one(path: Path, column: str | None) -> Table | list[str]:
    match ending(path):
        case ".parquet" | ".arrow" | ".csv" | ".tsv":
            return records.read_file(path)
        case ".json" | ".jsonl":
            found = reading.read_json(path, ENDINGS, _FORMATS)
            return _table(found, path.name, column)
    text = reading.read_text(path, ENDINGS, _FORMATS)
    if column is not None:
        raise fail("E074", f"`{path.name}` is one text, and has no columns", help="remove `columns`")
    return [text]


def _table(rows: Any, name: str, column: str | None) -> Table | list[str]:
    if not isinstance(rows, list | Portions):
        raise fail("E074", f"`{name}` is not a list of records", help=_FORMATS)
    if column is None and rows and all(isinstance(row, str) for row in rows):
        return _sound(rows, Table(name, ()))
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise fail("E074", f"record {index} of `{name}` is not an object", help=_FORMATS)
    return Table(name, rows or [{}])


def streamed(table: Table, columns: Mapping[str, str]) -> Table | list[str]:
    """A portion of a stream."""
    column = columns.get("text", columns.get("messages"))
    if column is None and all(isinstance(row, str) for row in table.rows):
        return _sound(table.rows, table)
    return objects(table)


def _column(tables: Sequence[Table]) -> str:
    """`text`, or the only column of all splits that holds one."""
    if _holds_text(tables):
        return "text"
    first = tables[0].rows[0]
    strings = [key for key in meaning.common(tables) if isinstance(first[key], str)]
    return strings[0] if len(strings) == 1 else "text"


def _holds_text(tables: Sequence[Table]) -> bool:
    return not tables[0].rows or any("text" in row for table in tables for row in table.rows)


def _texts(table: Table, column: str) -> list[str]:
    if any(column not in row for row in table.rows):
        table.lacks(column, "text")
    return _sound([row[column] for row in table.rows], table)


def _sound(values: Iterable[object], table: Table) -> list[str]:
    found = list(values)
    for index, value in enumerate(found):
        if not isinstance(value, str) or not reading.is_text(value):
            what = "null" if value is None else "broken text" if isinstance(value, str) else type(value).__name__
            help = f"it is {what}: make it a string, or remove the record"
            raise fail("E075", f"{table.record(index)} is not text", help=help)
    return found  # type: ignore[return-value]


def load_tokenizer(folder: Path) -> Reader:
    tokenizer = reading.load_tokenizer(folder)
    end = reading.model_config(folder).get("eos_token_id")
    if isinstance(end, list):
        end = end[0] if end else None
    return Reader(tokenizer, end if isinstance(end, int) and end >= 0 else None, folder)


def featurize(
    examples: Sequence[str] | Sequence[Chat], tokenizer: Reader, max_length: int, stride: int, names: Sequence[str] = ()
) -> Blocks | ChatRows:
    """Blocks of `max_length` tokens, or chats. There are no windows, so `stride` says nothing here."""
    return first_blocks(examples, tokenizer, max_length)


def first_blocks(
    examples: Sequence[str] | Sequence[Chat], tokenizer: Reader, max_length: int, most: int | None = None
) -> Blocks | ChatRows:
    """Of chats there are all."""
    if any(isinstance(example, Chat) for example in examples):
        chats = [example for example in examples if isinstance(example, Chat)]
        pad = pad_id(reading.model_config(tokenizer.folder), tokenizer.tokenizer)
        return chat_rows.rows_of(chats, read_template(tokenizer.folder), tokenizer.tokenizer, pad, max_length)
    texts = (example for example in examples if isinstance(example, str))
    return Blocks(joined_blocks(texts, tokenizer, max_length, most))


def joined_blocks(texts: Iterable[str], reader: Reader, length: int, most: int | None = None) -> np.ndarray:
    """Texts one behind the other in rows of `length` tokens, int32; a single shorter row where there is no more.

    `most`: no text is encoded beyond so many rows, but for the portion that ends them.
    """
    growing = Growing(np.int32)
    enough = None if most is None else most * length
    for some in _portions(texts):
        if enough is not None and growing.size >= enough:
            break
        if len(some) == 1 and len(some[0]) > _PORTION:
            found = [_long_text(some[0], reader.tokenizer, None if enough is None else enough - growing.size)]
        else:
            encodings = reader.tokenizer.encode_batch_fast(some, add_special_tokens=False)
            found = [np.asarray(encoded.ids, np.int32) for encoded in encodings]
        for ids in found:
            growing.add(ids)
            if reader.end is not None and len(ids):
                growing.one(reader.end)
    tokens = growing.array()
    whole = len(tokens) // length
    if whole:
        return tokens[: whole * length].reshape(whole, length)
    if len(tokens) < 2:
        raise fail(
            "E074",
            "these texts have fewer than two tokens",
            help="a language model predicts each token from the tokens before it",
        )
    return tokens.reshape(1, -1)


def _long_text(text: str, tokenizer: Tokenizer, enough: int | None = None) -> np.ndarray:
    """The tokens of a text, some portions at a time: an encoding takes 200 bytes a character.

    A portion is encoded with some text around it, and tokens are taken by where they begin. Where the tokens around a
    seam are not the same in both portions, the text is encoded as a whole. `enough`: no more tokens are needed.
    """
    kept: list[np.ndarray] = []
    before: tuple[np.ndarray, np.ndarray] | None = None
    for begin, end, low, encoded in _encoded(text, tokenizer):
        ids = np.asarray(encoded.ids, np.int32)
        starts = np.asarray([start for start, _ in encoded.offsets], np.int64) + low
        first, last = np.searchsorted(starts, (begin, end))
        around = _around(ids, starts, first, begin)
        agree = before is None or all(np.array_equal(a, b) for a, b in zip(before, around, strict=True))
        if not agree or (np.diff(starts) < 0).any():
            return np.asarray(tokenizer.encode(text, add_special_tokens=False).ids, np.int32)
        before = _around(ids, starts, last, end)
        kept.append(ids[first:last])
        if enough is not None and sum(map(len, kept)) >= enough:
            break
    return np.concatenate(kept)


def _encoded(text: str, tokenizer: Tokenizer) -> Iterator[tuple[int, int, int, Encoding]]:
    """Portions of a text: where each begins and ends, and the encoding of what begins a little before."""
    seams = iter(_seams(text))
    while some := list(itertools.islice(seams, _TOGETHER)):
        lows = [max(0, begin - _AROUND) for begin, _ in some]
        parts = [text[low : end + _AROUND] for low, (_, end) in zip(lows, some, strict=True)]
        encoded = tokenizer.encode_batch(parts, add_special_tokens=False)
        encoded.reverse()  # each is dropped once it is used
        for low, (begin, end) in zip(lows, some, strict=True):
            yield begin, end, low, encoded.pop()


def _around(ids: np.ndarray, starts: np.ndarray, at: int, place: int) -> tuple[np.ndarray, np.ndarray]:
    near = slice(max(0, at - _AGREE), at + _AGREE)
    return ids[near], starts[near] - place


def _seams(text: str) -> Iterable[tuple[int, int]]:
    """Portions that end with a line, or else with a word."""
    begin = 0
    while len(text) - begin > _PORTION:
        to = begin + _PORTION
        end = max(text.rfind("\n", begin + _PORTION // 2, to), 0) or max(text.rfind(" ", begin + _PORTION // 2, to), 0)
        end = end + 1 if end else to
        yield begin, end
        begin = end
    yield begin, len(text)


def _portions(texts: Iterable[str]) -> Iterable[list[str]]:
    """A few texts at a time: encodings take far more memory than tokens."""
    some: list[str] = []
    size = 0
    for text in texts:
        if some and len(text) > _PORTION:  # it is taken apart by itself
            yield some
            some, size = [], 0
        some.append(text)
        size += len(text)
        if size > _PORTION:
            yield some
            some, size = [], 0
    if some:
        yield some


def kept(outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    return {"loss": row_losses(outputs.logits[:, :-1], batch["labels"][:, 1:])}


def row_losses(logits: Any, labels: Any) -> Any:
    """Of every row the sum of its losses, [items, 1]; logits are [items, tokens, vocabulary].

    One row at a time: the probabilities of a whole batch would take as much memory as its logits.
    """
    found = logits.new_zeros(len(labels), 1).float()
    for row, (scores, tokens) in enumerate(zip(logits, labels, strict=True)):
        asked = tokens.clamp_min(0).unsqueeze(-1)  # what is not predicted has no token
        known = scores.float().log_softmax(-1).gather(-1, asked).squeeze(-1)
        found[row, 0] = -known.masked_fill(tokens == IGNORED, 0.0).sum()
    return found


def measure(
    kept: Mapping[str, np.ndarray],
    features: Blocks | ChatRows,
    examples: Sequence[str] | Sequence[Chat],
    how: Counting | None = None,
) -> dict[str, float]:
    return {"perplexity": perplexity(kept, features.predicted())}


def perplexity(kept: Mapping[str, np.ndarray], tokens: int) -> float:
    """The exponential of the mean loss of a predicted token, whatever row it stands in."""
    lost = math.fsum(kept["loss"][:, 0].tolist()) / tokens
    return math.exp(min(lost, 700.0))  # beyond, a double has no number for it


TASK = Task(
    "causal_lm",
    "AutoModelForCausalLM",
    gives="words",
    per_token=True,
    blocks=True,
    fields=("text", "messages"),
    items="blocks",
    shortest=2,
    read=read,
    decide=decide,
    examples=_examples,
    load_tokenizer=load_tokenizer,
    featurize=featurize,
    forms=(Blocks, ChatRows),
    first_blocks=first_blocks,
    streams=streamed,
    kept=kept,
    learns="next",
    measure=measure,
    first=First(
        "hf://HuggingFaceTB/SmolLM2-135M",
        "hf://Salesforce/wikitext",
        "calibrate",
        (("config", "wikitext-2-raw-v1"),),
        target="50%",
        targets="@linear & @decoder",
        max_length=2048,
    ),
)
