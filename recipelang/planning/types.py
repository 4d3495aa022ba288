"""The plan: everything a run will do, as frozen plain data (JSON in, JSON out).

`recipelang plan` prints it, the engine obeys it, an artifact records it. It
knows no torch and no syntax tree. Times are optimizer steps within a stage;
ratios are doubles made once from exact rationals; tensor names are those of the
task model's `named_parameters()`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recipelang.kinds.formats import CHOSEN, WEIGHTS
from recipelang.planning.adapter_plan import AdapterPlan
from recipelang.planning.data_plan import DataPlan
from recipelang.planning.figure_plan import FigurePlan
from recipelang.planning.harness_plan import HarnessPlan
from recipelang.planning.loss_plan import LossPlan
from recipelang.planning.plan_form import Finite, Frozen
from recipelang.planning.prune_plan import PrunePlan
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.planning.watch_plan import StopPlan, WatchPlan
from recipelang.schedules.shapes import SHAPES
from recipelang.source.words import an
from recipelang.spec.metrics import MEASURES, TASKS
from recipelang.spec.optimizers import OPTIMIZERS
from recipelang.storage.forms import Count, MaybeDigest, Share, Some, known
from recipelang.tasks.pooling import Pooling

#: 1.1: rates are read at the start of their step, weight decay spares norms and biases
FORMAT_VERSION = "1.1"


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


class TermPlan(Frozen):
    """What student and teacher are compared in; the terms of a distillation are added up."""

    kind: Literal["output", "number", "reverse", "hidden", "attention", "squarehead"] = Field(
        description="`output`: the logits of a distribution; `reverse`: the same from the student's side; `number`: an "
        "output that is a number itself"
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
    loss: LossPlan | None = Field(default=None, description="none: the model's own")
    ema: Share | None = Field(default=None, description="decay of the average of the weights that the stage ends with")
    best: WatchPlan | None = Field(default=None, description="none: the stage ends with its last weights")
    stop: StopPlan | None = Field(default=None, description="when the stage ends before its last step")
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
    adapters: tuple[AdapterPlan, ...] = ()
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
        if not all(watch.counted(self.steps) for watch in self.watches):
            raise ValueError("`best` or `stop` counts nothing before the end of the stage: `since`, `every`")
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

    @property
    def watches(self) -> tuple[WatchPlan, ...]:
        """What is measured to decide which weights the stage leaves."""
        return tuple(watch for watch in (self.best, self.stop) if watch is not None)

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
    harnesses: tuple[HarnessPlan, ...] = ()
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
        for stage in self.stages:
            weights = () if stage.loss is None else stage.loss.class_weights
            if weights and len(weights) != len(self.model.labels):
                raise ValueError(f"stage `{stage.name[:80]}` weighs classes that the model does not have")
        measured = {(e.name, s, n, m) for e in self.evaluations for s, n in e.every.items() for m in e.metrics}
        for stage in self.stages:
            for w in stage.watches:
                if (w.evaluation, stage.name, w.every, w.metric) not in measured:
                    raise ValueError(f"stage `{stage.name[:80]}` is not measured so: `evaluation`, `metric`, `every`")
        for evaluation in self.evaluations:
            if evaluation.split not in splits.get(evaluation.data, ()):
                raise ValueError(f"evaluation `{evaluation.name[:80]}` reads data that the plan does not have")
        return self

    def until(self, stage: StagePlan) -> int:
        """The step at which a stage ends, or its rehearsal."""
        return min(stage.steps, self.rehearsal or stage.steps)

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
