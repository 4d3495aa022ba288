"""What a model is trained for: one file a task, from data to model inputs, and what the engine has to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np


class Features(Protocol):
    """Model inputs of a split, one row an item."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        ...

    def __len__(self) -> int: ...

    def batch(self, rows: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """What the model is called with for these rows, labels included."""
        ...


class Task(Protocol):
    """A module of this room."""

    METRICS: tuple[str, ...]
    OUTPUTS: tuple[str, ...]
    AUTO_MODEL: str
    LABELS: tuple[str, ...]
    FIELDS: tuple[str, ...]
    SHORTEST: int  # tokens of an input that still holds something to learn from

    def open_split(
        self, reference: str, split: str, columns: Mapping[str, str] | None = None, config: str | None = None
    ) -> tuple[Any, ...]: ...

    def load_tokenizer(self, folder: Path) -> Any: ...

    def featurize(self, examples: Sequence[Any], tokenizer: Any, max_length: int, stride: int) -> Any: ...


def task_of(name: str) -> Task:
    from recipelang.tasks import causal_lm, question_answering

    return {"question_answering": question_answering, "causal_lm": causal_lm}[name]  # type: ignore[return-value]
