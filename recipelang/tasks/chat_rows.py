"""Chats as rows of tokens: one row a chat, with labels at the tokens of its answers and nowhere else.

A template that marks answers (`{% generation %}`) decides by the characters that it marks, and a token that overlaps
them is one of an answer. Of any other template, the tokens of a chat up to an answer must be those that the model is
given when it is to write that answer, and go on as those of the chat up to its end; else E233. Numpy only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.source.waiting import waiting
from recipelang.storage.growing import Growing
from recipelang.tasks import reading
from recipelang.tasks.chat_template import ChatTemplate, Renderer
from recipelang.tasks.chats import ANSWERING, Chat
from recipelang.tasks.encoding import IGNORED, Padded, begins, drawn

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

#: chats that are rendered and encoded at a time
_AT_ONCE = 256
#: chats that take some seconds
_MANY = 2_000


@dataclass(frozen=True)
class ChatRows:
    """`items` chats, at least one token of whose answers is predicted."""

    tokens: np.ndarray  # [all] int32
    labels: np.ndarray  # [all] int32: the token, or -100 outside of answers and at the first place of a row
    starts: np.ndarray  # [items] int64: where a row begins in `tokens`
    lengths: np.ndarray  # [items] int32
    pad_id: int
    limit: int  # tokens that a batch is never wider than
    cut: int = 0  # chats of which `max_length` has cut something off
    unanswered: int = 0  # chats left out, as no token of an answer is within `max_length`
    sequences: int = 1

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def width(self) -> int:
        return int(self.lengths.max())

    @property
    def tokens_read(self) -> int:
        """Of all rows, padding aside."""
        return int(self.lengths.sum())

    @property
    def tokens_predicted(self) -> int:
        """Of the answers in all rows."""
        before = np.concatenate([[0], np.cumsum(self.labels != IGNORED)])
        return int((before[self.starts + self.lengths] - before[self.starts]).sum())

    def inputs(self) -> tuple[np.ndarray, ...]:
        return (self.tokens, self.starts, self.lengths)

    def batch(self, rows: Sequence[int] | np.ndarray, width: int | None = None, draw: int = 0) -> dict[str, np.ndarray]:
        rows = np.asarray(rows)
        padded = Padded(self.starts[rows], self.lengths[rows], width, self.limit)
        ids, labels = padded.of(self.tokens, self.pad_id), padded.of(self.labels, IGNORED)
        return {"input_ids": ids, "attention_mask": padded.mask, "labels": labels}

    def some(self, count: int, seed: int | None) -> ChatRows:
        rows = drawn(len(self), count, seed)
        return replace(self, starts=self.starts[rows], lengths=self.lengths[rows])

    def predicted(self) -> int:
        return self.tokens_predicted


def rows_of(chats: Sequence[Chat], template: ChatTemplate, tokenizer: Tokenizer, pad_id: int, length: int) -> ChatRows:
    """E075 where no chat has a token of an answer within `length`."""
    tokens, labels, lengths = Growing(np.int32), Growing(np.int32), Growing(np.int32)
    cut = 0
    if len(chats) > _MANY:
        waiting(f"applying the chat template to {len(chats):,} chats")
    with Renderer(template) as renderer:
        for first in range(0, len(chats), _AT_ONCE):
            for ids, answers in _encoded(chats[first : first + _AT_ONCE], renderer, tokenizer):
                cut += len(ids) > length
                kept, own = ids[:length], np.where(answers, ids, IGNORED)[:length]
                own[:1] = IGNORED  # nothing is before it to predict it from
                if (own != IGNORED).any():
                    tokens.add(kept)
                    labels.add(own)
                    lengths.one(len(kept))
    if not tokens.size:
        notes = [f"chats are truncated to {length:,} tokens"]
        help = "raise `max_length`, or shorten what stands before the answers"
        raise fail("E075", "no chat has an answer within `max_length`", notes=notes, help=help)
    sizes = lengths.array()
    unanswered = len(chats) - len(sizes)
    return ChatRows(tokens.array(), labels.array(), begins(sizes), sizes, pad_id, length, cut, unanswered)


def _encoded(
    chats: Sequence[Chat], renderer: Renderer, tokenizer: Tokenizer
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The tokens of each chat, and which of them are of an answer."""
    template = renderer.template
    found = renderer.answers([chat.messages for chat in chats], [chat.name for chat in chats])
    texts: dict[str, None] = {}
    for chat, told in zip(chats, found, strict=True):
        if "differs" in told:
            raise _unlocated(chat, told["differs"], told["here"], told["there"], template)
        if not reading.is_text(told["text"]):
            notes = [f"the folder is {template.folder}"]
            raise fail("E231", f"the chat template makes broken text of {chat.name}", notes=notes)
        ends = [] if template.marked else [end for span in told["spans"] for end in span]
        texts.update(dict.fromkeys([told["text"], *(told["text"][:end] for end in ends)]))
    encoded = dict(zip(texts, tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True))
    for chat, told in zip(chats, found, strict=True):
        text, spans = told["text"], told["spans"]
        if template.marked:
            answers = _overlapping(encoded[text], spans)
        else:
            prefixes = [(encoded[text[:start]], encoded[text[:end]]) for start, end in spans]
            answers = _between(chat, encoded[text], prefixes, template)
        yield np.asarray(encoded[text].ids, np.int32), answers


def _overlapping(whole: Encoding, spans: Sequence[Sequence[int]]) -> np.ndarray:
    begins, ends = np.asarray(whole.offsets, np.int64).reshape(-1, 2).T
    found = np.zeros(len(begins), bool)
    for start, end in spans:
        found |= (begins < end) & (ends > start)
    return found


def _between(
    chat: Chat, whole: Encoding, prefixes: Sequence[tuple[Encoding, Encoding]], template: ChatTemplate
) -> np.ndarray:
    """`prefixes`: the chat before each answer, and up to its end."""
    ids, found = whole.ids, np.zeros(len(whole.ids), bool)
    answering = [i for i, message in enumerate(chat.messages) if message["role"] == ANSWERING]
    for message, (before, after) in zip(answering, prefixes, strict=True):
        for prefix in (before, after):
            if prefix.ids != ids[: len(prefix.ids)]:
                pairs = enumerate(zip(prefix.ids, ids, strict=False))
                at = next((i for i, (a, b) in pairs if a != b), min(len(ids), len(prefix.ids)))
                here, there = (" ".join(each.tokens[at : at + 3]) for each in (prefix, whole))
                raise _unlocated(chat, message, here, there, template)
        found[len(before.ids) : len(after.ids)] = True
    return found


def _unlocated(chat: Chat, message: int, here: str, there: str, template: ChatTemplate) -> RecipeError:
    """E233: what a chat is up to an answer, or up to its end, is not how the whole chat begins."""
    parts = [f"`{line_of(part)[:60]}`" if part else "nothing" for part in (here, there)]
    notes = [
        f"rendered up to message {message}, the chat has {parts[0]} where the whole chat has {parts[1]}",
        f"the folder is {template.folder}",
    ]
    help = "mark answers with `{% generation %}` and `{% endgeneration %}` in the template, or split the chat"
    return fail("E233", f"the answers in {chat.name} cannot be located", notes=notes, help=help)
