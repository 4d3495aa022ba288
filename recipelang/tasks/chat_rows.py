"""Chats as rows of tokens: one row a chat, with labels at the tokens of its answers and nowhere else.

A template that marks answers (`{% generation %}`) decides by the characters that it marks, and a token that overlaps
them is one of an answer. Of any other template, the tokens of a chat up to an answer must be those that the model is
given when it is to write that answer, and go on as those of the chat up to its end; else E233. Numpy only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from recipelang.source import RecipeError, fail
from recipelang.tasks import reading
from recipelang.tasks.chat_template import ChatTemplate, Renderer
from recipelang.tasks.chats import Chat

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

IGNORED = -100  # of transformers' losses
#: chats that are rendered and encoded at a time
_AT_ONCE = 256


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
        """Padded at the end, to the longest row rounded up to a multiple of 8, though not beyond `limit`."""
        rows = np.asarray(rows)
        sizes = self.lengths[rows]
        width = width or min(-(-int(sizes.max()) // 8) * 8, max(int(sizes.max()), self.limit))
        there = np.arange(width) < sizes[:, None]
        places = (self.starts[rows][:, None] + np.arange(width))[there]
        ids, labels = np.full(there.shape, self.pad_id, np.int64), np.full(there.shape, IGNORED, np.int64)
        ids[there], labels[there] = self.tokens[places], self.labels[places]
        return {"input_ids": ids, "attention_mask": there.astype(np.int64), "labels": labels}

    def some(self, count: int, seed: int | None) -> ChatRows:
        """`count` of the chats, drawn from all of them and left in their order; without a seed the first."""
        if count >= len(self):
            return self
        drawn = np.arange(count)
        if seed is not None:
            drawn = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        return replace(self, starts=self.starts[drawn], lengths=self.lengths[drawn])

    def predicted(self) -> int:
        return self.tokens_predicted


def rows_of(chats: Sequence[Chat], template: ChatTemplate, tokenizer: Tokenizer, pad_id: int, length: int) -> ChatRows:
    """E075 where no chat has a token of an answer within `length`."""
    tokens: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    cut = 0
    with Renderer(template) as renderer:
        for first in range(0, len(chats), _AT_ONCE):
            for ids, answers in _encoded(chats[first : first + _AT_ONCE], renderer, tokenizer):
                cut += len(ids) > length
                kept, own = ids[:length], np.where(answers, ids, IGNORED)[:length]
                own[:1] = IGNORED  # nothing is before it to predict it from
                if (own != IGNORED).any():
                    tokens.append(kept)
                    labels.append(own.astype(np.int32))
    if not tokens:
        notes = [f"chats are truncated to {length:,} tokens"]
        help = "raise `max_length`, or shorten what stands before the answers"
        raise fail("E075", "no chat has an answer within `max_length`", notes=notes, help=help)
    sizes = np.array([len(ids) for ids in tokens], np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes[:-1], dtype=np.int64)])
    return ChatRows(
        np.concatenate(tokens), np.concatenate(labels), starts, sizes, pad_id, length, cut, len(chats) - len(tokens)
    )


def _encoded(
    chats: Sequence[Chat], renderer: Renderer, tokenizer: Tokenizer
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The tokens of each chat, and which of them are of an answer."""
    found = renderer.answers([chat.messages for chat in chats], [chat.name for chat in chats])
    texts: dict[str, Encoding | None] = {}
    for chat, told in zip(chats, found, strict=True):
        if "differs" in told:
            raise _unlocated(chat, told["differs"], "text", renderer.template)
        if not reading.is_text(told["text"]):
            notes = [f"the folder is {renderer.template.folder}"]
            raise fail("E231", f"the chat template makes broken text of {chat.name}", notes=notes)
        ends = [] if renderer.template.marked else [end for span in told["spans"] for end in span]
        texts.update(dict.fromkeys([told["text"], *(told["text"][:end] for end in ends)]))
    texts = dict(zip(texts, tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True))
    for chat, told in zip(chats, found, strict=True):
        whole = texts[told["text"]]
        assert whole is not None
        ids = np.asarray(whole.ids, np.int32)
        if renderer.template.marked:
            yield ids, _overlapping(whole, told["spans"])
        else:
            prefixes = {end: np.asarray(texts[told["text"][:end]].ids) for span in told["spans"] for end in span}  # type: ignore[union-attr]
            yield ids, _between(chat, ids, told["spans"], prefixes, renderer.template)


def _overlapping(encoding: Encoding, spans: Sequence[Sequence[int]]) -> np.ndarray:
    begins, ends = np.asarray(encoding.offsets, np.int64).reshape(-1, 2).T
    found = np.zeros(len(begins), bool)
    for start, end in spans:
        found |= (begins < end) & (ends > start)
    return found


def _between(
    chat: Chat,
    ids: np.ndarray,
    spans: Sequence[Sequence[int]],
    prefixes: Mapping[int, np.ndarray],
    template: ChatTemplate,
) -> np.ndarray:
    found = np.zeros(len(ids), bool)
    answering = [i for i, message in enumerate(chat.messages) if message["role"] == "assistant"]
    for i, (start, end) in zip(answering, spans, strict=True):
        for prefix in (prefixes[start], prefixes[end]):
            if not np.array_equal(prefix, ids[: len(prefix)]):
                raise _unlocated(chat, i, "tokens", template)
        found[len(prefixes[start]) : len(prefixes[end])] = True
    return found


def _unlocated(chat: Chat, message: int, what: str, template: ChatTemplate) -> RecipeError:
    """E233: what a chat is up to an answer is not how the whole chat begins."""
    notes = [
        f"the {what} before message {message}, or up to its end, {'is' if what == 'text' else 'are'} not the beginning "
        f"of the whole chat's",
        f"the folder is {template.folder}",
    ]
    help = "mark answers with `{% generation %}` and `{% endgeneration %}` in the template, or split the chat"
    return fail("E233", f"the answers in {chat.name} cannot be located", notes=notes, help=help)
