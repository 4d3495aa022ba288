"""What a task is to everything but its own file: one `Task`, declared there as `TASK`. Loads neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from recipelang.source.frozen import frozen
from recipelang.tasks.meaning import Meaning

if TYPE_CHECKING:
    import numpy as np

    from recipelang.tasks.table import Table

R = TypeVar("R")  # what is read of a split
E = TypeVar("E", bound=Sequence[Any])  # its examples
T = TypeVar("T")  # the tokenizer, and what a task has to know of its model beside
F = TypeVar("F")  # `Features`, with what the task measures by


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


def _logits(outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    return {"logits": outputs.logits}


@frozen
class HeadClasses(Generic[E]):
    """The classes that a task's head tells apart: they have names, which data or model know."""

    #: those of a split, in order; E074 where they are no classes
    names: Callable[[E], tuple[str, ...]]
    #: how often each label occurs
    counts: Callable[[E], dict[str, int]]
    #: those of a source of a mixture, which may lack some
    some: Callable[[E], tuple[str, ...]]
    #: what a recipe calls their column
    field: str
    #: why a metric cannot be had of these classes
    refuses: Callable[[str, Sequence[str]], str | None] = lambda metric, names: None


@frozen
class First:
    """What a first recipe of a task is made of where nothing else is asked for (`recipelang init`)."""

    #: a model and a data set of the Hub
    base: str
    data: str
    #: `tune`: the model learns the task before it is pruned; `recover`: it is trained already, and is the teacher;
    #: `calibrate`: it is pruned in one shot, from a few samples
    way: Literal["tune", "recover", "calibrate"] = "tune"
    #: attributes of `data` that this data set needs
    settings: tuple[tuple[str, str], ...] = ()
    #: what is measured on that data set, where it is not what the task measures
    metrics: tuple[str, ...] = ()
    #: what is measured on other data, by its columns (field -> column), where that depends on them
    measured: Callable[[Mapping[str, str]], tuple[str, ...]] | None = None
    target: str = "90%"
    targets: str = "@linear & @encoder"
    #: lengths of the pruning stage, up to a target of 90 % and above it
    lengths: tuple[str, str] = ("10 epochs", "30 epochs")
    batch: int = 32
    rate: str = "5e-5"
    max_length: int = 128


@frozen
class Task(Generic[R, E, T, F]):
    """A task. Its metrics are in `spec.metrics`."""

    name: str
    #: the class of transformers that makes the model
    auto_model: str
    #: columns that a recipe may name
    fields: tuple[str, ...]
    #: what the rows are, where they are not the examples
    items: str
    #: tokens of an input that still holds something to learn from
    shortest: int
    #: a split as it is written, for `decide`: of a reference, by split, columns and config
    read: Callable[[str, str, Mapping[str, str] | None, str | None], R]
    #: what was read means, over all splits; it is given what the recipe sets
    decide: Callable[[Mapping[str, R], Meaning], Meaning]
    #: what was read as examples, by its meaning, the columns that the recipe names, and the reference
    examples: Callable[[R, Meaning, Mapping[str, str], str], E]
    #: of a model folder
    load_tokenizer: Callable[[Path], T]
    #: of examples, by tokenizer, `max_length`, `stride`, and the names of the classes in the order of the head's outputs
    featurize: Callable[[E, T, int, int, Sequence[str]], F]
    #: the classes of that, by whose names inputs that were prepared are kept
    forms: tuple[type[Any], ...]
    #: every metric, from what was kept of all rows; rows shorter than others end in -inf
    measure: Callable[[Mapping[str, np.ndarray], F, E, Counting | None], dict[str, float]]
    #: of outputs and batch, what an evaluation keeps: tensors of one row an item, of finite numbers that fp32 holds
    kept: Callable[[Any, Mapping[str, Any]], dict[str, Any]] = _logits
    #: what the head gives: scores, of which a softmax makes probabilities, of classes or places or (`words`) of the
    #: vocabulary, whose embeddings it may share, and which are never cached; a number for an item; or, without a head,
    #: embeddings of texts
    gives: Literal["scores", "words", "number", "embeddings"] = "scores"
    #: what its loss is a cross-entropy of, `logits` against `labels` at the same place: `classes`, `choices` of which an
    #: item may lack some, `tokens`, or (`next`) the token that follows; empty: its loss is none, or one of its own
    learns: Literal["", "classes", "choices", "tokens", "next"] = ""
    classes: HeadClasses[E] | None = None
    #: what `logits` stands for
    outputs: tuple[str, ...] = ("logits",)
    #: outputs are [items, tokens, ...]
    per_token: bool = False
    #: joined texts: `samples` counts rows
    blocks: bool = False
    #: of joined texts the first blocks, so many or a few more: of examples, by tokenizer, `max_length` and their number
    first_blocks: Callable[[E, T, int, int], F] | None = None
    #: what of a batch is no input; none: a decoder's inputs are made of its labels
    labels: tuple[str, ...] = ("labels",)
    #: fields whose columns a meaning must tell: one that was read back from a file may not
    needs: tuple[str, ...] = ()
    #: attributes of `data` that apply to it, of those that apply to some tasks only
    settings: tuple[str, ...] = ()
    #: the task whose head of a family it has (`planning.families`); empty: its own
    head_of: str = ""
    #: outputs of the head, whatever classes the config of a folder has; 0: as many as those
    head_width: int = 0
    #: `module:function`, called with the model and its plan once it is loaded; empty: nothing to do
    prepare: str = ""
    #: a portion of a stream as `read` gives it, with the columns that the recipe names; none: there are no streams
    streams: Callable[[Table, Mapping[str, str]], R] | None = None
    #: files of a model folder that belong to the model for this task only
    carried: tuple[str, ...] = ()
    first: First | None = None

    @property
    def head(self) -> str:
        return self.head_of or self.name

    @property
    def softmax(self) -> bool:
        """Whether a temperature can soften its outputs."""
        return self.gives in ("scores", "words")

    def open_split(
        self,
        reference: str,
        split: str,
        columns: Mapping[str, str] | None = None,
        config: str | None = None,
        decided: Meaning | None = None,
    ) -> E:
        """The examples; without what is `decided` over all splits, that is decided over this one alone."""
        return self.made_of({split: self.read(reference, split, columns, config)}, reference, columns, decided)

    def made_of(
        self, read: Mapping[str, R], reference: str, columns: Mapping[str, str] | None, decided: Meaning | None
    ) -> E:
        """The examples of one split that was read, by its name."""
        ((split, found),), named = read.items(), dict(columns or {})
        if decided is None or not decided.tells(*self.needs):
            decided = self.decide({split: found}, Meaning(columns=named))
        return self.examples(found, decided, named, reference)
