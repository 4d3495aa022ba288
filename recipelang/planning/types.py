"""The plan: everything a run will do, as frozen plain data (JSON in, JSON out).

`recipelang plan` prints it, the engine obeys it, an artifact records it. It
knows no torch and no syntax tree. Times are optimizer steps within a stage;
ratios are doubles made once from exact rationals; tensor names are those of the
task model's `named_parameters()`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from operator import gt, lt
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from recipelang.kinds.base import Mismatch
from recipelang.kinds.sizes import RANKINGS
from recipelang.methods import METHODS
from recipelang.planning.budget_plan import BudgetPlan
from recipelang.planning.figure_plan import FigurePlan
from recipelang.schedules.shapes import SHAPES
from recipelang.source.words import an
from recipelang.spec.formats import CHOSEN, WEIGHTS
from recipelang.spec.metrics import MEASURES, TASKS
from recipelang.spec.optimizers import OPTIMIZERS
from recipelang.storage.forms import Count, Digest, MaybeDigest, Share, Some, known
from recipelang.tasks.meaning import Meaning
from recipelang.tasks.pooling import Pooling

#: 1.1: rates are read at the start of their step, weight decay spares norms and biases
FORMAT_VERSION = "1.1"


Finite = Annotated[float, Field(allow_inf_nan=False)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class KeptPlan(Frozen):
    """Layers of one stack."""

    keep: tuple[Count, ...] = Field(
        min_length=1, description="the layers to keep, by their numbers in the source model"
    )
    layers: Some = Field(description="number of layers in the source model")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not all(a < b for a, b in pairwise((*self.keep, self.layers))):
            raise ValueError("`keep` is not in order, or names no layer of the model")
        return self


class DropPlan(KeptPlan):
    """Layers that the model loses before it is trained: of its only stack, or of its encoder."""

    parameters: Some = Field(description="parameters of the source model")
    decoder: KeptPlan | None = Field(default=None, description="layers of the decoder of an encoder")

    @property
    def kept(self) -> dict[str, tuple[int, ...]]:
        """The layers to keep, by stack: `encoder` and `decoder`, or no word where there is one."""
        return {"": self.keep} if self.decoder is None else {"encoder": self.keep, "decoder": self.decoder.keep}


class Roleless(Frozen):
    """Weights of two or more dimensions that no word after `@` tells apart."""

    what: Literal["linear", "none", "unprunable"] = Field(
        description="matrices that have no role but `linear`, or none; weights of more dimensions without a role"
    )
    tensors: Some
    example: str


class ModelPlan(Frozen):
    ref: str = Field(description="as the recipe names it")
    path: str = Field(description="folder that holds config.json and the weights")
    task: Annotated[str, known(*TASKS)]
    dtype: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32", description="of the weights in memory and in the output"
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] | None = Field(
        default=None, description="implementation of attention; none: what transformers chooses"
    )
    dropout: Share | None = None
    attention_dropout: Share | None = None
    redrawn: tuple[str, ...] = Field(
        default=(), description="parameters that the weights hold for other classes or another task: reinitialised"
    )
    left_out: tuple[str, ...] = Field(default=(), description="tensors of the weights that the model does not use")
    tied: str | None = Field(default=None, description="the matrix that is both the embeddings and the head")
    roleless: tuple[Roleless, ...] = Field(default=(), description="what no role of the selectors tells apart")
    labels: tuple[str, ...] = Field(default=(), description="names of the classes, in the order of the head's outputs")
    digest: MaybeDigest = Field(default="", description="sha256 of the weights and the config")
    family: str = ""
    parameters: Count = Field(default=0, description="parameters of the task model")
    drop: DropPlan | None = Field(default=None, description="`parameters` and all names are those of what it leaves")
    fresh_head: bool = Field(
        default=False, description="the weights hold no head for this task: a new head is initialised"
    )
    pooling: Pooling | None = Field(
        default=None, description="how the states of a text become its embedding; none: the task has no embeddings"
    )


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

    @property
    def streamed(self) -> bool:
        """Nobody knows how many examples the training split has."""
        return "train" in self.splits and self.splits["train"].stream is not None


class Segment(Frozen):
    """One shape over steps `first..last` (inclusive); `cycles` are the steps at which it restarts."""

    shape: Annotated[str, known(*SHAPES)]
    start: Finite
    end: Finite
    first: Count
    last: Count
    power: Annotated[Finite, Field(gt=0)] | None = None
    cycles: tuple[Count, ...] = ()
    ends: Literal["after", "last"] = Field(
        default="last",
        description="whether it is at `end` behind `last` (or its cycle) or on it; of older plans: on it",
    )
    whole: tuple[Finite, Finite] | None = Field(
        default=None,
        description="steps between which it goes from `start` to `end`, where they are not `first` and `last`",
    )

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        """At every step: a plan is also read from folders that others made."""
        if self.first > self.last:
            raise ValueError("`last` comes before `first`")
        if SHAPES[self.shape].above_zero and not (self.start > 0 and self.end > 0):
            raise ValueError(f"{an(self.shape)} schedule has a value that is not greater than zero")
        if self.whole is not None and self.whole[0] >= self.whole[1]:
            raise ValueError("`whole` ends before it begins")
        if not all(a < b for a, b in pairwise((self.first - 1, *self.cycles, self.last + 1))):
            raise ValueError("`cycles` are not its steps in ascending order")
        return self


def _covers(schedule: tuple[Segment, ...], steps: int, low: float, high: float, what: str) -> None:
    """Every step of a stage has one value, within bounds."""
    firsts, lasts = [s.first for s in schedule], [s.last for s in schedule]
    if [0, *(last + 1 for last in lasts)] != [*firsts, steps]:
        raise ValueError(f"`{what}` does not cover the steps of its stage, each once")
    if not all(low <= value <= high for s in schedule for value in (s.start, s.end)):
        raise ValueError(f"`{what}` has a value outside {low:g}..{high:g}")


class Target(Frozen):
    name: str
    shape: tuple[Count, ...]
    purpose: str = Field(default="", description="embeddings, head, both (tied), pooler, or another matrix")

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class PruneEvent:
    """At `STEP_START` of `step` (of `END` when it equals the stage's steps).

    A plan may hold very many, and a plain dataclass that checks itself is made ten times as fast as a model.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)
    step: Count
    sparsity: Share
    zeros: Annotated[tuple[Count, ...], Field(description="exact zeros: per target, or one total (global)")]
    grown: Annotated[
        tuple[Count, ...], Field(description="of a method that takes weights back: how many are swapped, per target")
    ] = ()

    def __post_init__(self) -> None:
        try:
            least = min(self.zeros, default=0) if not self.grown else min(*self.zeros, *self.grown)
            if type(self.step) is int and self.step >= 0 <= least and 0 <= self.sparsity <= 1:
                return
        except TypeError:
            pass
        raise ValueError(f"no event has these values: {self!r}")


class DenseGroup(Frozen):
    """Parameters that a prune block leaves alone, by what they are for."""

    what: str
    tensors: Some
    weights: Count
    protected: bool = Field(description="by `never`, all of them")


def _declared(method: str) -> str:
    """One of ours, or of a plug-in that is installed."""
    try:
        return METHODS[method].name
    except (KeyError, Mismatch):
        more = " and no plug-in that is installed here has it" if "." in method else ""
        raise ValueError(f"`{method[:80]}` is none of {', '.join(f'`{n}`' for n in METHODS)}{more}") from None


class PrunePlan(Frozen):
    name: str
    method: Annotated[str, AfterValidator(_declared)]
    args: dict[str, Finite | int | str | bool] = {}
    scope: Literal["uniform", "global", "row", "erk"] = "uniform"
    pattern: Literal["unstructured", "N:M", "block"] = "unstructured"
    pattern_size: tuple[Count, Count] = Field(default=(0, 0), description="N and M, or rows and columns of a block")
    ties: Literal["first", "sparseml_1"] = Field(default="first", description="which of equal scores are pruned")
    order: Literal["sequential", "parallel"] = Field(
        default="sequential", description="one shot: whether a layer's inputs come from pruned or from dense layers"
    )
    targets: tuple[Target, ...]
    never: tuple[str, ...] = Field(default=(), description="tensors that must gain no zeros and no mask")
    dense: tuple[DenseGroup, ...] = ()
    events: tuple[PruneEvent, ...] = Field(default=(), description="none for `hold` and `release`")
    scoring: Count = Field(default=0, description="peak bytes that the method needs besides weights and masks")
    held: tuple[Count, ...] = Field(
        default=(), description="of `hold`: the zeros that each target came with; none where only the run can tell"
    )
    at_least: bool = Field(
        default=False,
        description="targets were shrunk with their masks: what these hold beyond an event's zeros stays",
    )
    passes: Some = Field(
        default=1, description="number of parts into which oBERT divides the targets so that its matrices fit"
    )

    @model_validator(mode="after")
    def _counts(self) -> Self:
        """Zeros of every event fit into the targets, and events are in their order."""
        sizes = [t.size for t in self.targets]
        most = [sum(sizes)] if self.scope == "global" else sizes
        every = {"zeros": [e.zeros for e in self.events], "grown": [e.grown for e in self.events if e.grown]}
        for name, found in every.items():  # by columns: there may be very many rows
            if any(len(counts) != len(most) for counts in found) or any(
                map(gt, map(max, zip(*found, strict=True)), most)
            ):
                raise ValueError(f"`{name}` of an event are not those of its targets")
        steps = [e.step for e in self.events]
        if not all(map(lt, steps, steps[1:])):
            raise ValueError("`events` are not in order of their steps")
        if self.held and (
            len(self.held) != len(sizes) or any(n > size for n, size in zip(self.held, sizes, strict=True))
        ):
            raise ValueError("`held` do not match its targets")
        m, n = self.pattern_size
        if not {"unstructured": m == n == 0, "N:M": 0 < m <= n, "block": m > 0 and n > 0}[self.pattern]:
            raise ValueError("`pattern_size` is not of its pattern")
        if METHODS[self.method].scheduled != bool(self.events):
            raise ValueError(f"`{self.method}` {'has' if self.events else 'needs'} events")
        return self

    @property
    def final(self) -> float:
        """The sparsity it ends with."""
        return self.events[-1].sparsity if self.events else 0.0


class TermPlan(Frozen):
    """What student and teacher are compared in; the terms of a distillation are added up."""

    kind: Literal["output", "number", "hidden", "attention"] = Field(
        description="`output`: the logits of a distribution; `number`: an output that is a number itself"
    )
    output: str = Field(default="", description="its name; `logits` stands for every output of the task")
    layers: tuple[tuple[Count, Count], ...] = Field(default=(), description="the student's and the teacher's, from 0")
    widths: tuple[Some, Some] | None = Field(
        default=None, description="the student's and the teacher's, if they differ"
    )
    weight: tuple[Segment, ...]


class DistillPlan(Frozen):
    teacher: str = Field(description="folder of a model, or `stage.NAME`")
    teacher_ref: str
    teacher_parameters: Count = 0
    teacher_digest: MaybeDigest = Field(
        default="", description="sha256 of the weights and the config; none of `stage.NAME`"
    )
    terms: tuple[TermPlan, ...] = Field(min_length=1)
    pooling: Pooling | None = Field(
        default=None, description="how the teacher's states of a text become its embedding, where there are any"
    )
    cache: Literal["fp16", "fp32"] | None = Field(default=None, description="how the teacher's outputs are cached")
    hardness: tuple[Segment, ...]
    temperature: tuple[Segment, ...]


class CalibrationPlan(Frozen):
    """What a one-shot stage reads to judge weights by."""

    samples: Some
    length: Some = Field(description="most tokens per sample")
    layers: Count = Field(description="how many of them are pruned")
    statistics: Count = Field(description="bytes that those of one layer take, with what is made of them")
    states: Count = Field(description="bytes of what goes from layer to layer, for all samples")


#: of a config.json: what `shrink` changes in it
Setting = int | tuple[str | int | None, ...] | None


class SizePlan(Frozen):
    """What an axis of the model has before and after it is shrunk."""

    axis: Literal["ffn", "heads", "hidden", "layers"]
    before: Some
    after: Some

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.after >= self.before:
            raise ValueError(f"`{self.axis}` does not become smaller: `after` is not below `before`")
        return self


class CutPlan(Frozen):
    """A dimension of a parameter that becomes shorter: `parts` times the units of its axis, of `unit` places each."""

    dim: Count = Field(description="of the parameter as it is stored")
    axis: Literal["ffn", "heads", "hidden"]
    parts: Some = 1
    unit: Some = 1


class ReshapePlan(Frozen):
    """A parameter that becomes smaller, by its name before layers are removed."""

    name: str
    shape: tuple[Some, ...] = Field(description="as it is stored, before")
    cuts: tuple[CutPlan, ...] = Field(min_length=1)


class ShrinkPlan(Frozen):
    """Neurons, heads, hidden units and layers that a one-shot stage removes. Which ones, the run finds out."""

    name: str
    by: Annotated[str, known(*RANKINGS)]
    sizes: tuple[SizePlan, ...] = Field(min_length=1)
    groups: Some = Field(default=1, description="of heads, in each of which as many are kept")
    keep: tuple[Count, ...] = Field(default=(), description="layers that are not removed")
    reshapes: tuple[ReshapePlan, ...] = ()
    config: dict[str, Setting] = Field(description="what changes in config.json: its new values")
    config_before: dict[str, Setting] = Field(description="and what they were")
    parameters: tuple[Some, Some] = Field(description="of the model, before and after")
    stack: str = Field(default="", description="path of the layers in the model, where some of them go")
    masks: Count = Field(default=0, description="matrices whose masks are cut with them")
    budget: BudgetPlan | None = None
    step: Count | None = Field(default=None, description="of a round in a training stage: before this step")
    samples: Count = Field(default=0, description="of a round: how many examples its scores are of")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        sizes = {s.axis: s for s in self.sizes}
        if (budget := self.budget) is not None:
            if budget.most is not None and not self.parameters[1] <= budget.most < self.parameters[0]:
                raise ValueError("`budget.most` is not met by `parameters`, or asks for nothing")
            if any(axis in sizes and sizes[axis].after != to for axis, to in budget.chosen.items()):
                raise ValueError("`sizes` are not those that `budget.chosen` has")
        if len(sizes) != len(self.sizes):
            raise ValueError("an axis stands twice in `sizes`")
        if ("layers" in sizes) < bool(self.keep) or len(self.keep) > sizes.get("layers", self.sizes[0]).after:
            raise ValueError("`keep` are not layers of the smaller model")
        if "heads" in sizes and (sizes["heads"].before % self.groups or sizes["heads"].after % self.groups):
            raise ValueError("`groups` do not divide the heads")
        for reshape in self.reshapes:
            for cut in reshape.cuts:
                before = sizes[cut.axis].before if cut.axis in sizes else 0
                if cut.dim >= len(reshape.shape) or reshape.shape[cut.dim] != cut.parts * cut.unit * before:
                    raise ValueError(f"`reshapes` cut `{reshape.name[:80]}` as its shape does not allow")
        return self

    @property
    def told(self) -> str:
        """`ffn 1,536 -> 768, layers 6 -> 4`."""
        return ", ".join(f"{s.axis} {s.before:,} -> {s.after:,}" for s in self.sizes)

    @staticmethod
    def settings(config: Mapping[str, Setting]) -> dict[str, Any]:
        """`config` or `config_before` as a config.json has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}

    def to(self, axis: str) -> SizePlan | None:
        """What becomes of an axis, where anything does."""
        return next((s for s in self.sizes if s.axis == axis), None)

    def shape_of(self, reshape: ReshapePlan) -> tuple[int, ...]:
        """Of a parameter afterwards."""
        after = {s.axis: s.after for s in self.sizes}
        shorter = {c.dim: c.parts * c.unit * after[c.axis] for c in reshape.cuts}
        return tuple(shorter.get(i, n) for i, n in enumerate(reshape.shape))


class FreezePlan(Frozen):
    """Parameters that are not trained before step `until`, or in the whole stage."""

    name: str
    targets: tuple[str, ...]
    weights: Count
    until: Count | None = None


class GroupPlan(Frozen):
    """A group of the optimizer; what is none is the stage's. All that no group holds is one more."""

    names: tuple[str, ...] = Field(description="the `group` blocks that its parameters are in")
    targets: tuple[str, ...]
    weights: Count
    learning_rate: tuple[Segment, ...] | None = None
    weight_decay: Annotated[Finite, Field(ge=0)] | None = None


class StagePlan(Frozen):
    name: str
    index: Count
    mode: Literal["train", "one_shot"] = "train"
    steps: Count
    steps_per_epoch: Some
    epochs: Annotated[Finite, Field(ge=0)]
    batch: Some
    micro_batch: Some
    accumulation: Some
    optimizer: Annotated[str, known(*OPTIMIZERS)]
    optimizer_args: dict[str, Finite | tuple[Finite, ...]] = {}
    undecayed: tuple[str, ...] = Field(default=(), description="norms and biases, which `weight_decay` skips")
    learning_rate: tuple[Segment, ...]
    clip: Annotated[Finite, Field(gt=0)] | None = 1.0
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    data: str = ""
    seed: Count
    checkpoint_every: Some | None = Field(
        default=None, description="steps; none means an epoch, one minute at least and ten at most"
    )
    checkpoint_seconds: Annotated[Finite, Field(gt=0)] | None = Field(
        default=None, description="by the clock alone, where that is asked for"
    )
    keep: Some = 2
    prunes: tuple[PrunePlan, ...] = ()
    distills: tuple[DistillPlan, ...] = ()
    freezes: tuple[FreezePlan, ...] = ()
    groups: tuple[GroupPlan, ...] = ()
    shrinks: tuple[ShrinkPlan, ...] = ()
    compile: bool = False
    activation_checkpointing: bool = False
    compat: Literal["sparseml_1"] | None = Field(default=None, description="the tool whose clock the stage follows")
    calibration: CalibrationPlan | None = Field(default=None, description="of a one-shot stage that needs data")

    @model_validator(mode="after")
    def _has_a_rate(self) -> Self:
        if self.mode == "train" and not self.learning_rate:
            raise ValueError(f"stage `{self.name[:80]}` trains, but `learning_rate` is empty")
        return self

    @model_validator(mode="after")
    def _fits_its_steps(self) -> Self:
        if self.mode == "train":
            for what, schedule in self._rates():
                _covers(schedule, self.steps, 0, math.inf, what)
            for distill in self.distills:
                _covers(distill.hardness, self.steps, 0, 1, "hardness")
                _covers(distill.temperature, self.steps, math.ulp(0), math.inf, "temperature")
                for term in distill.terms:
                    _covers(term.weight, self.steps, 0, math.inf, "weight")
        for prune in self.prunes:
            if prune.events and prune.events[-1].step > self.steps:
                raise ValueError(f"`events` of `{prune.name[:80]}` come after the end of the stage")
        if any(f.until is not None and f.until > self.steps for f in self.freezes):
            raise ValueError("`until` comes after the end of the stage")
        rounds = [s.step for s in self.shrinks if s.step is not None]
        if len(rounds) < len(self.shrinks) and self.mode == "train":
            raise ValueError("`shrinks` of a stage that trains have no step")
        if not all(a < b for a, b in pairwise([*rounds, self.steps] if rounds else [])):
            raise ValueError("rounds of `shrinks` are not in order, or come after the end of the stage")
        return self

    def _rates(self) -> Iterable[tuple[str, tuple[Segment, ...]]]:
        yield "learning_rate", self.learning_rate
        for group in self.groups:
            if group.learning_rate is not None:
                yield "learning_rate", group.learning_rate

    def shrunk(self, done: int) -> tuple[ShrinkPlan, ...]:
        """What has made the model smaller after so many steps; of a one-shot stage it is all or nothing."""
        return tuple(s for s in self.shrinks if s.step is not None and s.step < done)

    @property
    def scheduled(self) -> tuple[PrunePlan, ...]:
        """The blocks that prune over time: not `hold` and `release`."""
        return tuple(p for p in self.prunes if p.events)


class EvaluatePlan(Frozen):
    name: str
    data: str = ""
    split: str
    samples: Some | None = Field(default=None, description="use only the first N; none: all")
    batch: Some = Field(default=64, description="examples per forward pass")
    metrics: tuple[Annotated[str, known(*MEASURES)], ...]
    positive: str | None = Field(default=None, description="the class whose F1 is measured; none: the mean of all")
    null_threshold: Finite | None = Field(
        default=None,
        description="how far no-answer must score above the best answer; none: every question gets an answer",
    )
    dense: bool = Field(default=False, description="also measured before the first stage")
    every: dict[str, Some] = Field(default={}, description="stage -> steps between measurements inside it")


class ClaimPlan(Frozen):
    """`kind`: `expect` fails the run, `prefer` warns. `id` finds the expression in the checked recipe."""

    kind: Literal["expect", "prefer"]
    id: Count
    text: str
    message: str | None = None
    planned: str = Field(default="", description="what the plan foresees for its left side, where this decides it")


class ExportPlan(Frozen):
    formats: tuple[Annotated[str, known(WEIGHTS, *CHOSEN)], ...] = (WEIGHTS,)
    quantize: Literal["int8"] | None = None
    card: bool = True
    max_shard: Some = 5_000_000_000


def trained_rows(data: DataPlan, stages: Iterable[StagePlan]) -> int:
    """Rows of a data set that the steps of all stages draw, repeated ones counted each time."""
    found = 0
    for stage in stages:
        if stage.steps and stage.data == data.label:
            epochs, more = divmod(stage.steps, stage.steps_per_epoch)
            found += epochs * data.items["train"] + min(more * stage.batch, data.items["train"])
    return found


class Plan(Frozen):
    format_version: str = FORMAT_VERSION
    name: str
    source: str = Field(description="the recipe file's name, without its folder")
    spec_digest: MaybeDigest
    behaviour_digest: MaybeDigest
    seed: Count
    model: ModelPlan
    data: tuple[DataPlan, ...]
    stages: Annotated[tuple[StagePlan, ...], Field(min_length=1)]
    evaluations: tuple[EvaluatePlan, ...] = ()
    export: ExportPlan = ExportPlan()
    claims: tuple[ClaimPlan, ...] = ()
    never: tuple[str, ...] = ()
    selections: dict[str, tuple[str, ...]] = Field(
        default={}, description="selector text in a claim -> the matrices it stands for"
    )
    figures: tuple[FigurePlan, ...] = Field(default=(), description="sizes and speeds that claims name")
    plugins: dict[str, str] = Field(
        default={}, description="distributions whose code acts, beside this one -> their versions"
    )
    peak_memory: Count = Field(default=0, description="bytes, an estimate")
    offloaded_memory: Count = Field(
        default=0, description="bytes with weights on disk, an estimate; 0 where they must be in memory"
    )
    rehearsal: Some | None = Field(default=None, description="only the first N steps of every stage")

    @model_validator(mode="after")
    def _refers_to_itself(self) -> Self:
        """What is named in it is in it, so that nobody who reads it has to ask."""
        splits = {d.label: {*d.splits, *(["train"] if d.mixture else [])} for d in self.data}
        if [s.index for s in self.stages] != list(range(len(self.stages))):
            raise ValueError("its stages are out of order")
        for stage in self.stages:
            if (stage.steps or stage.calibration) and "train" not in splits.get(stage.data, ()):
                raise ValueError(f"stage `{stage.name[:80]}` reads data that the plan does not have")
        stages = {s.name for s in self.stages}
        for figure in self.figures:
            if not {figure.of, figure.reference} - {""} <= stages:
                raise ValueError("`figures` name a stage that the plan does not have")
        for evaluation in self.evaluations:
            if evaluation.split not in splits.get(evaluation.data, ()):
                raise ValueError(f"evaluation `{evaluation.name[:80]}` reads data that the plan does not have")
        return self

    @property
    def steps(self) -> int:
        return sum(s.steps for s in self.stages)

    @property
    def teachers(self) -> list[str]:
        """The stages that teach a later one, in order."""
        asked = {d.teacher for s in self.stages for d in s.distills}
        return [s.name for s in self.stages if f"stage.{s.name}" in asked]

    @property
    def kept_stages(self) -> list[str]:
        """The stages whose model is kept: those that teach a later one, and those that a claim compares with."""
        claimed = {f.figure.stage for f in self.figures} if self.rehearsal is None else set()
        return [s.name for s in self.stages if s.name in {*self.teachers, *claimed}]

    def parameters(self, stage: str | None = None) -> int:
        """Of the model that a stage trains or prunes; without one, of the model at the end."""
        found = self.model.parameters
        for one in self.stages:
            found = next((s.parameters[1] for s in reversed(one.shrinks)), found)
            if one.name == stage:
                break
        return found
