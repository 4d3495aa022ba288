"""Masked language modelling: texts are joined and cut into blocks, and 15 % of a block's tokens are to be guessed.

Of these, 80 % are masked, 10 % replaced by any token, 10 % left as they are, as published (BERT, arXiv 1810.04805).
They are drawn anew at every step of a training, from the run's seed; an evaluation always draws the same ones, so
two models, and two runs, are asked the same. Every block has as many, so a mean over blocks is one over tokens.

The perplexity is the exponential of the mean loss of a guessed token. It is not comparable with a causal model's, nor
with a pseudo-perplexity that masks one token at a time, which takes a pass for every token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recipelang.source import fail
from recipelang.storage.growing import Growing
from recipelang.tasks import causal_lm, reading
from recipelang.tasks.encoding import IGNORED
from recipelang.tasks.task import Counting, First, Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: blocks that are copied at a time
_AT_ONCE = 1024
GUESSED = 0.15
MASKED, REPLACED = 0.8, 0.1
_MASKS = ("[MASK]", "<mask>")


@dataclass(frozen=True)
class Reader:
    """A tokenizer, and what stands before and behind every block; the latter also between two texts."""

    tokenizer: Tokenizer
    before: tuple[int, ...]
    behind: tuple[int, ...]
    mask: int

    @property
    def special(self) -> tuple[int, ...]:
        return (*self.before, *self.behind, self.mask)


@dataclass(frozen=True, kw_only=True)
class Blocks(causal_lm.Blocks):
    """Nothing is masked yet."""

    mask: int
    vocabulary: int
    special: tuple[int, ...]

    def batch(self, rows: Sequence[int] | np.ndarray, width: int | None = None, draw: int = 0) -> dict[str, np.ndarray]:
        """What is guessed in a row depends on `draw` and on the row alone."""
        ids = self.input_ids[np.asarray(rows)].astype(np.int64)
        labels = np.full_like(ids, IGNORED)
        for at, row in enumerate(np.asarray(rows).tolist()):
            random = np.random.default_rng([draw, row])
            places = self._places(ids[at], random)
            labels[at, places] = ids[at, places]
            how = random.random(len(places))
            ids[at, places[how < MASKED]] = self.mask
            other = places[(how >= MASKED) & (how < MASKED + REPLACED)]
            ids[at, other] = random.integers(self.vocabulary, size=len(other))
        return {"input_ids": ids, "attention_mask": np.ones_like(ids), "labels": labels}

    def _places(self, ids: np.ndarray, random: np.random.Generator) -> np.ndarray:
        special = np.isin(ids, self.special)
        words = random.permutation(np.flatnonzero(~special))
        return np.sort(np.concatenate([words, np.flatnonzero(special)])[: self.guessed])  # a text may spell `[SEP]`

    @property
    def guessed(self) -> int:
        """Tokens of a block: as in BERT, the share rounded, and one at least."""
        return max(1, round(GUESSED * self.width))

    def predicted(self) -> int:
        return len(self) * self.guessed


def load_tokenizer(folder: Path) -> Reader:
    tokenizer = reading.load_tokenizer(folder)
    mask = next((m for m in map(tokenizer.token_to_id, _MASKS) if m is not None), None)
    if mask is None:
        raise fail(
            "E076",
            f"the tokenizer of `{folder}` has no mask token",
            help="use the tokenizer of a masked language model",
        )
    whole, bare = tokenizer.encode("a").ids, tokenizer.encode("a", add_special_tokens=False).ids
    at = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
    return Reader(tokenizer, tuple(whole[:at]), tuple(whole[at + len(bare) :]), mask)


def featurize(
    examples: Sequence[str], tokenizer: Reader, max_length: int, stride: int, names: Sequence[str] = ()
) -> Blocks:
    """Blocks of `max_length` tokens with what stands around them. There are no windows: `stride` says nothing here."""
    return first_blocks(examples, tokenizer, max_length)


def first_blocks(examples: Sequence[str], tokenizer: Reader, max_length: int, most: int | None = None) -> Blocks:
    around = len(tokenizer.before) + len(tokenizer.behind)
    end = tokenizer.behind[-1] if tokenizer.behind else None
    room = max(2, max_length - around)
    inner = causal_lm.joined_blocks(examples, causal_lm.Reader(tokenizer.tokenizer, end), room, most)
    blocks = Growing(np.int32)
    for first in range(0, len(inner), _AT_ONCE):
        some = inner[first : first + _AT_ONCE]
        sides = [np.tile(np.array(ids, np.int32), (len(some), 1)) for ids in (tokenizer.before, tokenizer.behind)]
        blocks.add(np.concatenate([sides[0], some, sides[1]], axis=1))
    ids, size = blocks.array().reshape(len(inner), -1), tokenizer.tokenizer.get_vocab_size()
    return Blocks(ids, mask=tokenizer.mask, vocabulary=size, special=tokenizer.special)


def kept(outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Of every row the sum of its losses, and how many tokens were guessed right."""
    labels = batch["labels"]
    places = labels != IGNORED
    asked, logits = labels[places], outputs.logits[places].float()
    known = logits.log_softmax(-1).gather(-1, asked.unsqueeze(-1)).reshape(len(labels), -1)
    right = (logits.argmax(-1) == asked).reshape(len(labels), -1)
    return {"loss": -known.sum(-1), "right": right.sum(-1)}


def measure(
    kept: Mapping[str, np.ndarray], features: Blocks, examples: Sequence[str], how: Counting | None = None
) -> dict[str, float]:
    asked = features.predicted()
    right = float(kept["right"].sum(dtype=np.float64))
    return {"perplexity": causal_lm.perplexity(kept, asked), "accuracy": right / asked}


TASK = Task(
    "masked_lm",
    "AutoModelForMaskedLM",
    gives="words",
    per_token=True,
    blocks=True,
    fields=("text",),
    items="blocks",
    shortest=4,
    read=causal_lm.read,
    decide=causal_lm.decide_texts,
    examples=causal_lm.texts_of,
    load_tokenizer=load_tokenizer,
    featurize=featurize,
    forms=(Blocks,),
    first_blocks=first_blocks,
    streams=causal_lm.streamed,
    kept=kept,
    learns="tokens",
    measure=measure,
    first=First(
        "hf://google-bert/bert-base-uncased",
        "hf://Salesforce/wikitext",
        "recover",
        (("config", "wikitext-103-raw-v1"),),
        lengths=("3 epochs", "9 epochs"),
        rate="1e-4",
        max_length=256,
    ),
)
