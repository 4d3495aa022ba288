"""From logits to answers, decoded as transformers' `run_qa` decodes them, so that published figures compare.

The `n_best` starts and the `n_best` ends of a window are its highest logits over all of its tokens, those of the
question too; pairs of them that are no span of the passage, or too long a one, are left out afterwards. (Choosing among
tokens of the passage only, as is done elsewhere, finds answers that `run_qa` does not.) Padding is no token: there it
takes part, with whatever a model makes of it. A span of no characters is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recipelang.tasks.squad_format import Example

#: of `run_qa`
N_BEST, LONGEST = 20, 30


class Windows(Protocol):
    """Pieces of questions with their passages, as the model reads them, one row a window."""

    @property
    def offsets(self) -> np.ndarray:
        """[items, tokens, 2]: where each token lies in its passage; -1 outside of it."""
        ...

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, padding aside."""
        ...

    @property
    def example_index(self) -> Sequence[int] | np.ndarray:
        """Which example each row is of."""
        ...


@dataclass(frozen=True)
class Answer:
    """What a model says to a question. `score`: start and end logit of `text`, -inf where no span was left to choose.

    `null`: how strongly it says that there is no answer, the least over the windows of start and end logit of the first
    token. With a threshold there is none where `null - score` is above it.
    """

    text: str
    score: float
    null: float


def answers(
    features: Windows,
    examples: Sequence[Example],
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    n_best: int = N_BEST,
    max_answer_length: int = LONGEST,
) -> dict[str, Answer]:
    """Identifier of every example -> its best answer over all its windows; of equal scores the first window's.

    Args:
        start_logits: [items, tokens], as many tokens as the longest window has or more.
        max_answer_length: in tokens.
    """
    offsets = features.offsets
    width = offsets.shape[1]
    tokens = np.arange(width) < np.asarray(features.lengths)[:, None]
    start, end = (np.where(tokens, a[:, :width], -np.inf).astype(np.float32) for a in (start_logits, end_logits))
    first, last = _highest(start, n_best), _highest(end, n_best)  # [items, n_best]
    total = np.take_along_axis(start, first, 1)[:, :, None] + np.take_along_axis(end, last, 1)[:, None, :]
    from_, to = (np.take_along_axis(offsets[:, :, side], chosen, 1) for side, chosen in ((0, first), (1, last)))
    length = last[:, None, :] - first[:, :, None] + 1
    spans = (from_ >= 0)[:, :, None] & (from_[:, :, None] < to[:, None, :])  # -1 outside the passage
    total = np.where(spans & (length >= 1) & (length <= max_answer_length), total, -np.inf)
    flat = total.reshape(len(total), -1)
    best = flat.argmax(axis=1)  # pairs stand by the rank of their starts, then of their ends
    found: dict[str, Answer] = {}
    for row, (pair, null) in enumerate(zip(best, start[:, 0] + end[:, 0], strict=True)):
        example = examples[features.example_index[row]]
        score = float(flat[row, pair])
        a, b = divmod(int(pair), last.shape[1])
        text = example.context[from_[row, a] : to[row, b]] if score > -np.inf else ""
        before = found.get(example.id, Answer("", -np.inf, np.inf))
        better = (text, score) if score > before.score else (before.text, before.score)
        found[example.id] = Answer(*better, min(before.null, float(null)))
    return found


def _highest(logits: np.ndarray, n: int) -> np.ndarray:
    """Positions of the `n` highest of every row, the highest first; of equal ones the last position."""
    return np.argsort(logits, axis=1, kind="stable")[:, ::-1][:, :n]
