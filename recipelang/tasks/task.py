"""What the engine has to know of a task, of its inputs, and of how it is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from recipelang.tasks.meaning import Meaning


class Features(Protocol):
    """Model inputs of a split, one row an item."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, padding aside."""
        ...

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        ...

    @property
    def sequences(self) -> int:
        """How many sequences the model reads for one row."""
        ...

    def __len__(self) -> int: ...

    def batch(self, rows: Sequence[int] | np.ndarray, width: int | None = None, draw: int = 0) -> dict[str, np.ndarray]:
        """What the model is called with for these rows, labels included; padded to `width`, or to the longest.

        What is drawn for them (the masked words of a masked language model) is drawn from `draw`.
        """
        ...

    def inputs(self) -> tuple[np.ndarray, ...]:
        """All that the model reads of all rows."""
        ...


class Counting(Protocol):
    """What an evaluation's plan says of how its metrics are counted."""

    @property
    def metrics(self) -> Sequence[str]:
        """Those that are asked for."""
        ...

    @property
    def positive(self) -> str | None:
        """The class whose F1 is meant; none: the mean of all."""
        ...

    @property
    def null_threshold(self) -> float | None:
        """How far no answer must score above the best one to be given; none: there is always an answer."""
        ...


class Task(Protocol):
    """A module of this room, found by its name. Its metrics are in `spec.metrics`."""

    OUTPUTS: tuple[str, ...]  #: what `logits` stands for
    HEAD: str  #: the task whose head of a family it has, most often its own (`planning.families`)
    AUTO_MODEL: str  #: the class of transformers that makes the model
    LABELS: tuple[str, ...]  #: what of a batch is no input; none: a decoder's inputs are made of its labels
    FIELDS: tuple[str, ...]  #: columns that a recipe may name
    SHORTEST: int  #: tokens of an input that still holds something to learn from
    ITEMS: str  #: what the rows are, where they are not the examples
    PER_TOKEN: bool  #: outputs are [items, tokens, ...]
    BLOCKS: bool  #: joined texts: `samples` counts rows
    CLASSES: bool  #: the outputs of the head have names, which data or model know
    NUMBERS: bool  #: the head gives one number for an item, which is no score of a class
    SOFTMAX: bool  #: outputs are logits, of which a softmax makes probabilities: a temperature can soften them
    WORDS: bool  #: the head scores the words of the vocabulary, may share their embeddings, and is never cached
    EMBEDS: bool  #: outputs are embeddings of texts, made of a model without a head
    HEAD_WIDTH: int  #: outputs of the head, whatever classes the config of a folder has; 0: as many as those
    PREPARE: str  #: `module:function`, called with the model and its plan once it is loaded; empty: nothing to do
    CARRIED: tuple[str, ...]  #: files of a model folder that belong to the model for this task only
    SETTINGS: tuple[str, ...]  #: attributes of `data` that apply to it, of those that apply to some tasks only

    def read(self, reference: str, split: str, columns: Mapping[str, str] | None, config: str | None) -> Any:
        """A split as it is written, for `decide`."""
        ...

    def decide(self, splits: Mapping[str, Any], wanted: Meaning) -> Meaning:
        """What was read means, over all splits; `wanted` holds what the recipe sets."""
        ...

    def open_split(
        self,
        reference: str,
        split: str,
        columns: Mapping[str, str] | None = None,
        config: str | None = None,
        decided: Meaning | None = None,
    ) -> tuple[Any, ...]:
        """The examples; without what is `decided`, that is decided over this split alone."""
        ...

    def label_names(self, examples: Any) -> tuple[str, ...]:
        """Of the classes of a split, in order. Only where there are `CLASSES`. E074 where they are no classes."""
        ...

    def label_counts(self, examples: Any) -> dict[str, int]:
        """How often each label occurs. Only where there are `CLASSES`."""
        ...

    def refuses(self, metric: str, names: Sequence[str]) -> str | None:
        """Why a metric cannot be had of these classes. Only where there are `CLASSES`."""
        ...

    def load_tokenizer(self, folder: Path) -> Any: ...

    def featurize(
        self, examples: Sequence[Any], tokenizer: Any, max_length: int, stride: int, names: Sequence[str] = ()
    ) -> Any:
        """`names` are those of the classes, in the order of the head's outputs."""
        ...

    def kept(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What an evaluation keeps of a batch: tensors of one row an item, of finite numbers that fp32 holds."""
        ...

    def measure(
        self, kept: Mapping[str, np.ndarray], features: Any, examples: Sequence[Any], how: Counting | None = None
    ) -> dict[str, float]:
        """Every metric, from what was kept of all rows; rows shorter than others end in -inf."""
        ...
