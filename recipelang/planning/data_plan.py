"""What a plan says of data: splits, mixtures, streams, and how they are read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from recipelang.planning.plan_form import Frozen
from recipelang.spec.metrics import TASKS
from recipelang.storage.forms import Count, Digest, MaybeDigest, Some, known
from recipelang.tasks import task_of
from recipelang.tasks.meaning import Meaning

#: before the name of a source of a mixture, where it stands for a split
MIX = "mix."


class StreamPlan(Frozen):
    """Training data that are read a portion at a time."""

    portion: Some = Field(description="records that are read and shuffled together")
    files: Count = Field(default=0, description="files that a path names")
    bytes: Count = Field(default=0, description="size of these files")


class SplitPlan(Frozen):
    reference: str = Field(description="a file, or a reference with a scheme")
    split: str
    digest: MaybeDigest = Field(default="", description="sha256 of a file that is named by a path")
    config: str | None = Field(default=None, description="configuration of a source of a mixture")
    stream: StreamPlan | None = Field(
        default=None, description="how it is streamed: `digest` is then one of names, sizes and how it begins"
    )


class SharePlan(Frozen):
    """A source of a mixture; its split is `mix.NAME`."""

    name: str
    rows: Some = Field(
        description="rows of it in a round of the mixture, so that its share is that of all sources' rows"
    )
    samples: Some | None = Field(default=None, description="its part of the `samples`")


class ChatPlan(Frozen):
    """How chats become text."""

    template: Digest = Field(description="sha256 of the chat template and the special tokens that it may name")
    marked: bool = Field(description="the template marks answers itself; otherwise, prefixes of the chat locate them")
    pad: str = Field(description="the token that fills shorter rows, masked in attention and loss")


class DataPlan(Frozen):
    label: str = Field(description='"" is the default set')
    task: Annotated[str, known(*TASKS)] = Field(default="question_answering", description="how it is read")
    splits: dict[str, SplitPlan]
    config: str | None = None
    columns: dict[str, str] = {}
    meaning: Meaning = Field(default=Meaning(), description="what columns, labels and answers mean, over all splits")
    max_length: Some
    stride: Count
    samples: Some | None = None
    shuffle: bool = True
    group_by_length: bool = Field(default=False, description="batches hold inputs of similar length")
    seed: int | None = Field(default=None, description="seed of the shuffle; none: the stage's")
    draw_seed: int = Field(default=0, description="seed that selects the `samples` blocks of a language model's text")
    labels: tuple[str, ...] = Field(default=(), description="names of the classes, in the order of the head's outputs")
    sequences: Some = Field(default=1, description="sequences that the model reads per item: the choices of a question")
    examples: dict[str, Count] = Field(default={}, description="split -> examples (questions, texts)")
    items: dict[str, Count] = Field(default={}, description="split -> items a step draws from (features)")
    lost: dict[str, Some] = Field(default={}, description="split -> questions whose answer fits in no window")
    cut: dict[str, Some] = Field(default={}, description="split -> examples truncated by `max_length`")
    blank: dict[str, Some] = Field(default={}, description="split -> examples with a blank text")
    tokenless: dict[str, Some] = Field(default={}, description="split -> tagged words that produce no token")
    mixture: tuple[SharePlan, ...] = Field(
        default=(), description="sources of the training data and their shares; `train` stands for all of them"
    )
    chat: ChatPlan | None = Field(default=None, description="how chats become text, where the data are chats")
    unanswered: dict[str, Some] = Field(
        default={}, description="split -> chats skipped because no token of an answer is within `max_length`"
    )
    tokens_read: dict[str, Some] = Field(
        default={}, description="split -> tokens of its chats or sources, without padding"
    )
    tokens_predicted: dict[str, Some] = Field(
        default={}, description="split -> tokens of its chats' answers, or of its targets"
    )

    def parts_of(self, split: str) -> tuple[str, ...]:
        """The splits that are read for one: of a mixture, for its training data, all sources."""
        return tuple(f"{MIX}{m.name}" for m in self.mixture) if self.mixture and split == "train" else (split,)

    def measured(self, split: str) -> int:
        """What an evaluation of a split counts in `samples`: examples, or blocks of a language model's text."""
        return (self.items if task_of(self.task).blocks else self.examples).get(split, 0)

    @property
    def streamed(self) -> bool:
        """Nobody knows how many examples the training split has."""
        return "train" in self.splits and self.splits["train"].stream is not None
