"""That a model can read what its tokenizer makes of the data: a batch of the longest rows, held against its tables.

Tokens, positions and kinds of text are rows of three tables. One beyond a table would end the run in the middle, or
read another row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recipelang.planning.facts import ModelFacts, read_config
from recipelang.planning.families import FAMILIES
from recipelang.source import fail
from recipelang.storage.growing import release
from recipelang.tasks import Features
from recipelang.tasks.config_defaults import token_types

#: rows of the batch
_ROWS = 8
_AT_ONCE = 2**20


def fitted(features: Features, tokenizer: Any, folder: Path, task: str) -> Features:
    """The features, without kinds of text where the model knows one only. E188 for what lies beyond a table."""
    config = read_config(folder)
    facts = ModelFacts(folder, str(config["model_type"]), task, config, (), ())
    features = _one_kind(features, config)
    batch = features.batch(_longest(np.asarray(features.lengths)))
    tokens = [features.inputs()[0], batch["input_ids"], *_drawn(features)]
    if words := config.get("vocab_size"):
        _in_table("token", max(int(t.max()) for t in tokens), min(int(t.min()) for t in tokens), words, tokenizer)
        release(features.inputs())
    width = batch["input_ids"].shape[-1]
    if facts.family in FAMILIES and width > facts.max_positions:  # of other types `max_length` was held to the model
        notes = [f"a batch is {width:,} tokens wide, the model has {facts.max_positions:,} positions"]
        raise fail("E188", "a batch needs more positions than the model has", help="shorten `max_length`", notes=notes)
    kinds = batch.get("token_type_ids")
    if kinds is not None and (rows := token_types(config)):
        _in_table("token type", int(kinds.max()), int(kinds.min()), rows, None)
    return features


def _longest(lengths: np.ndarray) -> np.ndarray:
    """The longest rows, of equal ones the first; in little memory, whatever their number."""
    found = np.arange(0)
    for first in range(0, len(lengths), _AT_ONCE):
        found = np.concatenate([found, np.arange(first, min(first + _AT_ONCE, len(lengths)))])
        found = found[np.argsort(-lengths[found], kind="stable")[:_ROWS]]
    return found


@contextmanager
def encoding_fails(folder: Path) -> Iterator[None]:
    """What the tokenizer's library raises, a bare `Exception` or a panic, as E189."""
    try:
        yield
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        notes = [f"the tokenizer reports: {str(error)[:160]}", f"the folder is {folder}"]
        help = "name a model whose tokenizer has an unknown token, or change the data"
        raise fail("E189", "the tokenizer cannot encode this data", help=help, notes=notes) from None


def _one_kind(features: Features, config: dict[str, Any]) -> Features:
    """A table of one row, or none, has it for every token, whatever the tokenizer calls the second text of a pair."""
    types = getattr(features, "types", None)
    if types is None or token_types(config) > 1 or not is_dataclass(features):
        return features
    return replace(features, types=np.zeros_like(types))  # type: ignore[type-var, return-value]


def _drawn(features: Features) -> list[np.ndarray]:
    """Tokens that a batch may be given at random: any of the vocabulary, and the mask."""
    vocabulary = getattr(features, "vocabulary", 0)
    return [np.array([vocabulary - 1, getattr(features, "mask", 0)])] if vocabulary else []


def _in_table(what: str, most: int, least: int, rows: int, tokenizer: Any) -> None:
    number = most if most >= rows else least
    if 0 <= number < rows:
        return
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    name = tokenizer.id_to_token(number) if tokenizer is not None and number >= 0 else None
    notes = [f"the tokenizer assigns {f'`{name[:40]}`' if name else f'a {what}'} the id {number:,}"]
    notes.append(f"the model's embedding table has rows 0 to {rows - 1:,}")
    help = "take tokenizer and weights from the same source, or resize the embeddings after adding tokens"
    raise fail("E188", f"a {what} of this data is outside the embedding table", help=help, notes=notes)
