"""A text made of a text by an encoder and a decoder: summaries, translations, answers in words.

The decoder is trained on the tokens of the target, each from the source and the target's tokens before it; labels are
the target's tokens, of which the model itself makes what its decoder reads. Numpy and `tokenizers` only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recipelang.source import fail
from recipelang.storage.growing import Growing
from recipelang.tasks import encoding, meaning, reading
from recipelang.tasks.causal_lm import perplexity, row_losses
from recipelang.tasks.encoding import IGNORED, Padded, begins, pad_id
from recipelang.tasks.languages import framed, opening_of
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.records import read_table
from recipelang.tasks.table import Table, objects
from recipelang.tasks.task import Counting, First, Task
from recipelang.tasks.written_scores import scores

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FIELDS = ("source", "target")

#: names by which a source and its target are known
PAIRS = (
    ("source", "target"),
    ("input", "output"),
    ("inputs", "targets"),
    ("document", "summary"),
    ("article", "highlights"),
    ("article", "summary"),
    ("dialogue", "summary"),
    ("text", "summary"),
    ("text", "target"),
    ("question", "answer"),
    ("prompt", "completion"),
)


@dataclass(frozen=True)
class Example:
    source: str  # with the prefix
    target: str
    blank: bool = False
    frames: tuple[tuple[str, ...], ...] = ()  # around source and target, of a tokenizer that names languages


@dataclass(frozen=True)
class Reader:
    """The tokenizer of a model, the token it pads with, and the one that closes a target if the tokenizer adds none."""

    tokenizer: Tokenizer
    pad_id: int
    end: int | None


@dataclass(frozen=True)
class Pairs:
    """Sources and targets, one row each."""

    tokens: np.ndarray  # [all] int32: of every item its source, then its target
    starts: np.ndarray  # [items] int64: where an item begins in `tokens`
    sources: np.ndarray  # [items] int32: tokens of the source
    targets: np.ndarray  # [items] int32: tokens of the target
    tokenizer: Any
    pad_id: int
    limit: int  # tokens that a batch is never wider than
    blank: int = 0  # examples with a text of nothing but white space
    cut: int = 0  # examples of which `max_length` has cut something off
    opening: tuple[int, ...] = ()  # tokens of every target before its text, which name its language
    sequences: int = 1

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> np.ndarray:
        return np.maximum(self.sources, self.targets)

    @property
    def width(self) -> int:
        return int(self.lengths.max())

    @property
    def longest_target(self) -> int:
        """Tokens: no more are written where the model writes."""
        return int(self.targets.max())

    @property
    def tokens_read(self) -> int:
        """Of the sources, padding aside."""
        return int(self.sources.sum())

    @property
    def tokens_predicted(self) -> int:
        """Of the targets."""
        return int(self.targets.sum())

    def inputs(self) -> tuple[np.ndarray, ...]:
        return (self.tokens, self.starts, self.sources, self.targets)

    def batch(self, rows: Sequence[int] | np.ndarray, width: int | None = None, draw: int = 0) -> dict[str, np.ndarray]:
        """Targets are padded for themselves, to their longest."""
        rows = np.asarray(rows)
        starts, sizes = self.starts[rows], self.sources[rows]
        source = Padded(starts, sizes, width, self.limit)
        target = Padded(starts + sizes, self.targets[rows], None, self.limit)
        labels = target.of(self.tokens, IGNORED)
        return {"input_ids": source.of(self.tokens, self.pad_id), "attention_mask": source.mask, "labels": labels}


def read(reference: str, split: str, columns: Mapping[str, str] | None, config: str | None) -> Table:
    """A table; the texts of a record in a record have columns of their own, such as `translation.en`."""
    return _flattened(read_table(reference, split, columns, config))


def streamed(table: Table, columns: Mapping[str, str]) -> Table:
    """A portion of a stream."""
    return _flattened(objects(table))


def _flattened(table: Table) -> Table:
    if not any(isinstance(value, Mapping) for value in table.rows[0].values()):
        return table
    return replace(table, rows=[_flat(row) for row in table.rows])


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        found |= {f"{name}.{inner}": v for inner, v in value.items()} if isinstance(value, Mapping) else {name: value}
    return found


def decide(tables: Mapping[str, Table], wanted: Meaning) -> Meaning:
    """The columns of source and target; what is missing `open_split` refuses."""
    several, named = list(tables.values()), wanted.columns
    columns = dict(zip(FIELDS, meaning.two(several, named, FIELDS, PAIRS), strict=True))
    return wanted.model_copy(update={"columns": columns, "unused": meaning.unused(several, columns.values())})


def _examples(table: Table, decided: Meaning, named: Mapping[str, str], reference: str) -> tuple[Example, ...]:
    first, second = (tuple(dict.fromkeys(names)) for names in zip(*PAIRS, strict=True))
    table.needs(decided.columns, named, {"source": first, "target": second})
    found = []
    frames = tuple(decided.frames[field] for field in FIELDS if field in decided.frames)
    for i in range(len(table.rows)):
        source, target = (table.text(i, decided.columns[field]) for field in FIELDS)
        found.append(Example(decided.prefix + source, target, not (source.strip() and target.strip()), frames))
    return tuple(found)


def load_tokenizer(folder: Path) -> Reader:
    tokenizer, config = reading.load_tokenizer(folder), reading.model_config(folder)
    end = config.get("eos_token_id")
    ends = [e for e in (end if isinstance(end, list) else [end]) if isinstance(e, int) and e >= 0]
    added = set(tokenizer.encode("").ids) & set(ends)
    return Reader(tokenizer, pad_id(config, tokenizer), ends[0] if ends and not added else None)


def featurize(
    examples: Sequence[Example], tokenizer: Reader, max_length: int, stride: int, names: Sequence[str] = ()
) -> Pairs:
    """Each text is truncated to `max_length` by itself. E075 for a text that the tokenizer makes no token of."""
    own, frames = tokenizer.tokenizer.post_processor, examples[0].frames if examples else ()
    made = [framed(tokenizer.tokenizer, frame) for frame in frames] or [own, own]
    closing = [] if tokenizer.end is None or frames else [tokenizer.end]
    try:
        tokenizer.tokenizer.post_processor = made[0]
        sources, cut = _encoded(tokenizer, [e.source for e in examples], max_length)
        tokenizer.tokenizer.post_processor = made[1]
        targets, cut_too = _encoded(tokenizer, [e.target for e in examples], max_length - len(closing))
    finally:
        tokenizer.tokenizer.post_processor = own
    tokens, lengths = Growing(np.int32), Growing(np.int32)
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        target = np.asarray([*target, *closing], np.int32)
        for what, ids in (("source", source), ("target", target)):
            if not len(ids):
                help = "fill in the text, or remove the record"
                raise fail("E075", f"the tokenizer makes no token of the {what} of record {number}", help=help)
            tokens.add(ids)
            lengths.one(len(ids))
    sizes = lengths.array().reshape(-1, 2)
    return Pairs(
        tokens.array(),
        begins(sizes.sum(1, dtype=np.int64)),
        sizes[:, 0],
        sizes[:, 1],
        tokenizer.tokenizer,
        tokenizer.pad_id,
        max_length,
        blank=sum(e.blank for e in examples),
        cut=len(cut | cut_too),
        opening=tuple(i for t in opening_of(frames[1]) if (i := tokenizer.tokenizer.token_to_id(t)) is not None)
        if frames
        else (),
    )


def _encoded(reader: Reader, texts: Sequence[str], max_length: int) -> tuple[list[np.ndarray], set[int]]:
    """Tokens of each text, and which of them were truncated."""
    found: list[np.ndarray] = []
    cut: set[int] = set()
    for number, encoded in enumerate(encoding.encode(reader, texts, max_length)):  # type: ignore[arg-type]
        found.append(np.asarray(encoded.ids, np.int32))
        if encoding.is_cut(encoded, max_length):
            cut.add(number)
    return found, cut


def kept(outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Of every row the sum of its losses: logits are [items, tokens of the target, vocabulary]."""
    return {"loss": row_losses(outputs.logits, batch["labels"])}


def measure(
    kept: Mapping[str, np.ndarray], features: Pairs, examples: Sequence[Example], how: Counting | None = None
) -> dict[str, float]:
    """The exponential of the mean loss of a target's token, whatever row it stands in; and what was `written`, compared.

    `kept["written"]`: tokens [items, most], below 0 behind the end of a text.
    """
    found = {"perplexity": perplexity(kept, features.tokens_predicted)}
    if "written" not in kept or how is None:
        return found
    rows = (row[row >= 0].astype(np.int64).tolist() for row in kept["written"])
    written = [features.tokenizer.decode(ids, skip_special_tokens=True) for ids in rows]
    return found | scores(written, [e.target for e in examples], how.metrics)


TASK = Task(
    "text_to_text",
    "AutoModelForSeq2SeqLM",
    labels=(),  # the decoder's inputs are made of them
    gives="words",
    per_token=True,
    fields=FIELDS,
    needs=FIELDS,
    settings=("prefix", "source_language", "target_language"),
    items="pairs",
    shortest=2,
    read=read,
    streams=streamed,
    decide=decide,
    examples=_examples,
    load_tokenizer=load_tokenizer,
    featurize=featurize,
    forms=(Pairs,),
    kept=kept,
    learns="tokens",
    measure=measure,
    first=First(
        "hf://google-t5/t5-small",
        "hf://abisee/cnn_dailymail",
        "recover",
        (
            ("config", "3.0.0"),
            ("prefix", "summarize: "),
        ),
        target="50%",
        targets="@linear & (@encoder | @decoder)",
        lengths=("2 epochs", "6 epochs"),
        rate="1e-4",
        max_length=512,
    ),
)
