"""The closed schema of language version 1: every block, attribute, default.

Each attribute is written once, here: binding, messages, the canonical form and
the reference pages come from it. A default is part of version 1 for good.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Annotated, Self

from pydantic import model_validator

from recipelang.kinds.choice import Choice
from recipelang.kinds.class_weights import ClassWeights
from recipelang.kinds.formats import CHOSEN, WEIGHTS
from recipelang.kinds.measures import Cadence, Count, Size, Stretch
from recipelang.kinds.plain import (
    BlockLabel,
    Boolean,
    ListOf,
    MeasuredPath,
    Number,
    OneOf,
    OrNone,
    Ratio,
    Reference,
    Text,
)
from recipelang.kinds.schedule import ScheduleOf
from recipelang.kinds.tensors import Pattern, Selector
from recipelang.kinds.terms import LOGITS, Kept, Terms
from recipelang.kinds.text import percent
from recipelang.methods import METHODS
from recipelang.methods.declaration import scope_of
from recipelang.methods.reconstruction import RECONSTRUCTIONS
from recipelang.source.words import both
from recipelang.spec.adapters import AdapterSpec
from recipelang.spec.attribute import ANY, Attr, Spec, conflict, refusal
from recipelang.spec.controls import DropSpec, FreezeSpec, GroupSpec, ShrinkSpec
from recipelang.spec.harness import HarnessSpec
from recipelang.spec.metrics import MEASURES, TASKS
from recipelang.spec.optimizers import OPTIMIZERS
from recipelang.spec.track import TrackSpec
from recipelang.values import selector as sel
from recipelang.values.composite import Chosen, ClassWeight, Schedule, SparsityPattern, StageRef, Term
from recipelang.values.quantities import Quantity, Time

_strings = ListOf(Text())
#: methods that gather inputs, as a text
LAYER_BY_LAYER = both([m.name for m in METHODS.values() if m.looks_at == "inputs"])

#: rows of which a share of a mixture may be one
FINEST = 1_000_000
#: attributes that change at every step
STEPWISE = ("learning_rate", "hardness", "temperature")


class MetaSpec(Spec):
    """Who wrote the recipe, its licence, and its sources."""

    version: Annotated[str | None, Attr(Text(), "version of the recipe", "-", example='"1.0.0"')] = None
    authors: Annotated[tuple[str, ...], Attr(_strings, "authors of the recipe", "-", example='["A. Author"]')] = ()
    license: Annotated[str | None, Attr(Text(), "SPDX identifier of the licence", "-", example='"Apache-2.0"')] = None
    cites: Annotated[
        tuple[str, ...],
        Attr(_strings, "papers that the recipe is based on, as `arxiv:ID`", "-", example='["arxiv:2312.13547"]'),
    ] = ()
    tags: Annotated[tuple[str, ...], Attr(_strings, "keywords for searching", "-", example='["bert", "squad"]')] = ()
    summary: Annotated[str | None, Attr(Text(), "summary in one line", "-", example='"BERT-base to 90 % on SQuAD"')] = (
        None
    )
    reported: Annotated[
        tuple[str, ...],
        Attr(
            _strings,
            "results reported elsewhere, each with its source",
            "-",
            example='["f1 = 85.98 (arxiv:2203.07259, table 1)"]',
        ),
    ] = ()
    requires: Annotated[
        tuple[str, ...],
        Attr(_strings, "plug-ins that the recipe needs, with versions", "-", example='["recipelang >= 0.1"]'),
    ] = ()
    origin: Annotated[
        str | None,
        Attr(
            Text(),
            "the file that the recipe was migrated from, and the mode of the migration",
            "-",
            example='"squad.yaml, read strictly"',
            added=True,
        ),
    ] = None


class ModelSpec(Spec):
    """The model that the first stage starts with."""

    base: Annotated[
        str,
        Attr(
            Reference("model"),
            "`hf://OWNER/NAME`, `package://DIST/PATH`, or a folder",
            example='"hf://google-bert/bert-base-uncased"',
        ),
    ]
    task: Annotated[
        str,
        Attr(
            OneOf(*TASKS),
            "task to train for; decides head, loss and metrics",
            example="question_answering",
        ),
    ]
    revision: Annotated[str | None, Attr(Text(), "commit or tag of an `hf://` model", example='"v1.0"')] = None
    dtype: Annotated[
        str,
        Attr(
            OneOf("fp32", "bf16", "fp16", "auto"),
            "data type of the weights in memory and in the output; `auto`: as the model's files store them",
            example="auto",
        ),
    ] = "fp32"
    attention: Annotated[
        str | None,
        Attr(
            OneOf("sdpa", "eager", "flash_attention_2"),
            "implementation of attention; default: what transformers chooses",
            example="sdpa",
            added=True,
        ),
    ] = None
    dropout: Annotated[
        Fraction | None, Attr(Ratio(), "dropout of hidden layers; default: the model's own", example="0%")
    ] = None
    attention_dropout: Annotated[
        Fraction | None, Attr(Ratio(), "dropout of attention weights; default: the model's own", example="10%")
    ] = None


class MixSpec(Spec):
    """A source of the training data, with its share of the rows that are trained on."""

    LABELS = (1, 1)
    name: str
    source: Annotated[
        str, Attr(Reference("dataset"), "`hf://OWNER/NAME`, `lib://facts`, or a file", example='"synthetic.jsonl"')
    ]
    config: Annotated[str | None, Attr(Text(), "configuration of an `hf://` data set", example='"plain_text"')] = None
    share: Annotated[
        Fraction, Attr(Ratio(), "share of the rows; the shares of a mixture add up to 100%", example="30%")
    ]

    @model_validator(mode="after")
    def _has_a_share(self) -> Self:
        if self.share == 0:
            raise conflict("share", "a source with a share of 0% is never read", "remove the source")
        if self.share.denominator > FINEST:
            help = "write a percentage with at most four decimals"
            raise conflict("share", "the share has too many decimals", help)
        return self


class DataSpec(Spec):
    """A data set. Without a label, it is the default data set."""

    LABELS = (0, 1)
    source: Annotated[
        str | None,
        Attr(Reference("dataset"), "`hf://OWNER/NAME`, `lib://facts`, or a file", example='"hf://rajpurkar/squad"'),
    ] = None
    train: Annotated[
        str | None,
        Attr(Reference("dataset"), "training data: a file, or a split of the source", example='"train-v1.1.json"'),
    ] = None
    validation: Annotated[
        str | None,
        Attr(Reference("dataset"), "validation data: a file, or a split of the source", example='"dev-v1.1.json"'),
    ] = None
    test: Annotated[
        str | None, Attr(Reference("dataset"), "test data: a file, or a split of the source", example='"test.json"')
    ] = None
    config: Annotated[str | None, Attr(Text(), "configuration of an `hf://` data set", example='"plain_text"')] = None
    max_length: Annotated[
        int | None,
        Attr(
            Count("token", 1),
            "maximum input length; default: 384, or the model's limit if that is lower",
            example="384 tokens",
        ),
    ] = None
    stride: Annotated[
        int,
        Attr(
            Count("token"),
            "overlap between the windows of a long passage; default: 128, or as many as fit",
            example="128 tokens",
        ),
    ] = 128
    samples: Annotated[
        int | None,
        Attr(
            Count("sample", 1),
            "use only the first N training examples (for language models: N blocks or chats drawn from all); default: all",
            example="10_000 samples",
        ),
    ] = None
    shuffle: Annotated[bool, Attr(Boolean(), "shuffle the training examples in every epoch", example="true")] = True
    seed: Annotated[
        int | None, Attr(Number(0, whole=True), "seed of the order; default: the seed of the stage", example="7")
    ] = None
    classes: Annotated[
        tuple[str, ...],
        Attr(
            _strings,
            "class names for numeric labels, from 0; default: the names in the data set",
            example='["entailment", "neutral", "contradiction"]',
            added=True,
        ),
    ] = ()
    unlabelled: Annotated[
        tuple[str, ...],
        Attr(
            _strings,
            "labels that mean 'no label'; examples with them are left out; default: `-` among words or numbers",
            example='["-", "-1"]',
            unordered=True,
            added=True,
        ),
    ] = ()
    positive: Annotated[
        str | None,
        Attr(
            Text(),
            "positive class of `f1`; default with two classes: the class that the other one negates, the second class "
            "of a given order, or the rarer class",
            "s",
            example='"hate"',
            added=True,
        ),
    ] = None
    answer_is: Annotated[
        str | None,
        Attr(
            OneOf("key", "letter", "text", "place", "number"),
            "how an answer names its choice: by key, letter, text, place (from 0) or number (from 1); default: the "
            "reading that fits every answer",
            example="place",
            added=True,
        ),
    ] = None
    max_score: Annotated[
        Fraction | None,
        Attr(
            Number(0, above=True),
            "highest possible score of a pair, by which scores are divided; default: 1",
            example="5",
            added=True,
        ),
    ] = None
    prefix: Annotated[
        str | None,
        Attr(
            Text(),
            "text to put before every source, as T5 models expect",
            example='"summarize: "',
            added=True,
        ),
    ] = None
    source_language: Annotated[
        str | None,
        Attr(
            Text(),
            "language of the sources, as a code of the tokenizer; default: the language that the model folder names",
            example='"eng_Latn"',
            added=True,
        ),
    ] = None
    target_language: Annotated[
        str | None,
        Attr(
            Text(),
            "language of the targets, as a code of the tokenizer; default: the language that the model folder names, or "
            "that of the sources",
            example='"deu_Latn"',
            added=True,
        ),
    ] = None
    group_by_length: Annotated[
        bool,
        Attr(
            Boolean(),
            "group inputs of similar length into batches; this reduces padding and changes the batches",
            example="true",
            added=True,
        ),
    ] = False
    streaming: Annotated[
        bool,
        Attr(
            Boolean(),
            "read the training data as a stream, a portion at a time: for data too large to prepare; lengths are then in "
            "steps",
            example="true",
            added=True,
        ),
    ] = False
    shuffle_buffer: Annotated[
        int | None,
        Attr(
            Count("sample", 1),
            "with `streaming`, records that are read and shuffled together; default: 10,000",
            example="10_000 samples",
            added=True,
        ),
    ] = None
    columns: tuple[tuple[str, str], ...] = ()
    mixes: tuple[MixSpec, ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.mixes and self.train is not None:
            raise conflict(
                "train", "`train` and `mix` cannot be combined", "remove `train`, or make it a `mix` of its own"
            )
        if self.mixes and (total := sum((m.share for m in self.mixes), Fraction())) != 1:
            last = self.mixes[-1]
            message = f"the shares of the mixture add up to {percent(total)}, not 100%"
            rest = last.share + 1 - total
            help = f"write `share = {percent(rest)}`" if 0 < rest <= 1 else "lower the shares"
            raise refusal("E224", f"mix.{last.name}.share", message, help)
        if self.shuffle_buffer is not None and not self.streaming:
            help = "write `streaming = true`, or remove it: other data are shuffled as a whole"
            raise conflict("shuffle_buffer", "`shuffle_buffer` has no effect without `streaming`", help)
        if self.streaming and self.mixes:
            help = "remove `streaming`, or train on the sources in stages of their own"
            raise conflict("streaming", "a mixture cannot be read as a stream", help)
        if self.streaming and self.samples is not None:
            help = "remove it: the `length` of a stage decides how much of a stream is read"
            raise conflict("samples", "`samples` and `streaming` cannot be combined", help)
        if self.streaming and self.group_by_length:
            help = "remove one of them"
            raise conflict("group_by_length", "`group_by_length` and `streaming` cannot be combined", help)
        if self.group_by_length and not self.shuffle:
            message = "`group_by_length` and `shuffle = false` cannot be combined"
            raise conflict("group_by_length", message, "remove one of them")
        return self


class ColumnsSpec(Spec):
    """Column names, if they differ from the usual ones."""

    id: Annotated[str | None, Attr(Text(), "identifier of an example", example='"qid"')] = None
    question: Annotated[str | None, Attr(Text(), "question", example='"q"')] = None
    context: Annotated[str | None, Attr(Text(), "passage that the question is about", example='"passage"')] = None
    answers: Annotated[str | None, Attr(Text(), "answers, with their offsets", example='"spans"')] = None
    text: Annotated[str | None, Attr(Text(), "text, or the first text of a pair", example='"content"')] = None
    messages: Annotated[
        str | None, Attr(Text(), "messages of a chat, each with `role` and `content`", example='"conversation"')
    ] = None
    pair: Annotated[str | None, Attr(Text(), "second text of a pair", example='"hypothesis"')] = None
    negative: Annotated[
        str | None, Attr(Text(), "text that is unlike the first text of a pair", example='"contradiction"')
    ] = None
    score: Annotated[str | None, Attr(Text(), "score of a pair: how alike its texts are", example='"similarity"')] = (
        None
    )
    label: Annotated[str | None, Attr(Text(), "label of a text", example='"gold"')] = None
    choices: Annotated[
        str | None, Attr(Text(), "choices: a list, or `option` for `option1`, `option2`", example='"option"')
    ] = None
    tokens: Annotated[str | None, Attr(Text(), "words of a sentence", example='"words"')] = None
    tags: Annotated[str | None, Attr(Text(), "tags, one per word", example='"ner"')] = None
    answer: Annotated[str | None, Attr(Text(), "correct choice", example='"answerKey"')] = None
    source: Annotated[str | None, Attr(Text(), "text to write a target for", example='"article"')] = None
    target: Annotated[str | None, Attr(Text(), "text to be written", example='"highlights"')] = None


class PruneSpec(Spec):
    """Which weights to prune, how to rank them, and when."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[sel.Selector, Attr(Selector(), "the tensors to prune", example="@linear & @encoder")]
    never: Annotated[
        sel.Selector | None,
        Attr(
            OrNone(Selector()),
            "tensors that must stay dense; an error if `targets` selects any of them",
            example="@embeddings | @head",
        ),
    ] = None
    method: Annotated[
        Chosen, Attr(Choice("method", METHODS), "method that ranks the weights", example="magnitude(scope = uniform)")
    ]
    pattern: Annotated[
        SparsityPattern,
        Attr(Pattern(), "`unstructured`, `N:M` (N of every M weights remain) or `block(r, c)`", example="2:4"),
    ] = SparsityPattern("unstructured")
    sparsity: Annotated[
        Schedule | None,
        Attr(
            ScheduleOf(Ratio(), events=True),
            "share of zeros in the targets over time; not with `hold` and `release`",
            example="cubic(70% -> 90%, over = 10%..90%, updates = 10 per epoch)",
        ),
    ] = None
    order: Annotated[
        str,
        Attr(
            OneOf("sequential", "parallel"), f"order in which {LAYER_BY_LAYER} prune the layers", example="sequential"
        ),
    ] = "sequential"
    reconstruct: Annotated[
        Chosen | None,
        Attr(
            OrNone(Choice("reconstruction", RECONSTRUCTIONS)),
            f"train the remaining weights of each layer once it is pruned; with {LAYER_BY_LAYER} only",
            example="layer(steps = 50, learning_rate = 1e-3)",
            added=True,
        ),
    ] = None

    @classmethod
    def wanted(cls, values: Mapping[str, object]) -> tuple[str, ...]:
        method = values.get("method")
        # a method that could not be read may have been one that takes none
        free = not METHODS[method.name].scheduled if isinstance(method, Chosen) else "method" in values
        return cls.required() if free else (*cls.required(), "sparsity")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        method, pattern = self.method, self.pattern
        if not METHODS[method.name].scheduled:
            for name, given in (("sparsity", self.sparsity is not None), ("pattern", pattern.kind != "unstructured")):
                if given:
                    raise conflict(name, f"`{method.name}` takes no `{name}`", "remove it")
        if refusal := METHODS[method.name].refusal(method, pattern):
            raise conflict(*refusal)
        if self.reconstruct is not None:
            self._goes_through_layers()
        if pattern.kind == "block" and scope_of(method) == "row":
            help = "rank blocks within each tensor (`uniform`) or all together (`global`)"
            raise conflict("method", "blocks are not ranked by rows", help)
        if pattern.kind == "N:M" and scope_of(method) in ("erk", "owl"):
            help = "write `scope = uniform`: an N:M pattern gives every tensor the same sparsity"
            raise conflict("method", "an N:M pattern has no densities to choose", help)
        return self

    def _goes_through_layers(self) -> None:
        """E201 where the samples do not pass through one pruned layer after another."""
        if METHODS[self.method.name].looks_at != "inputs":
            help = f"use {LAYER_BY_LAYER.replace(' and ', ' or ')}, or remove `reconstruct`"
            raise refusal("E201", "reconstruct", f"`{self.method.name}` does not go through layers", help)
        if self.order != "sequential":
            message = "`reconstruct` and `order = parallel` cannot be combined"
            raise refusal("E201", "reconstruct", message, "remove one of them")


class DistillSpec(Spec):
    """Train on the outputs of a teacher as well as on the labels."""

    teacher: Annotated[
        str | StageRef,
        Attr(
            Reference("model", stages=True),
            "a model, or `stage.NAME`: the model after an earlier stage",
            example="stage.dense",
        ),
    ]
    on: Annotated[
        tuple[Term, ...],
        Attr(
            Terms(),
            "outputs to match, each with an optional `weight`; layers count from 0: `3`, `0..5` (the teacher's at the "
            "same depth) or `1 -> 3`; default: the last layer for `hidden`, all layers for `attention`",
            example="[logits, hidden(0 -> 1, 2 -> 5, weight = 0.1)]",
        ),
    ] = LOGITS
    hardness: Annotated[
        Schedule,
        Attr(
            ScheduleOf(Ratio()),
            "weight of the distillation loss: 0% is labels only, 100% is teacher only",
            example="100%",
        ),
    ]
    temperature: Annotated[
        Schedule, Attr(ScheduleOf(Number(0, above=True)), "temperature of both distributions", example="5.5")
    ]
    cache: Annotated[
        bool | str,
        Attr(
            Kept(),
            "cache the teacher's outputs instead of running it again: `true` in fp16, `fp32` in full; only for outputs",
            "-",
            example="false",
        ),
    ] = False


class StageSpec(Spec):
    """A part of the training, with the blocks that act in it."""

    LABELS = (1, 1)
    name: str
    mode: Annotated[
        str,
        Attr(
            OneOf("train", "one_shot"),
            "train, or prune once without a gradient step (`one_shot`: no length, batch or learning rate)",
            example="train",
        ),
    ] = "train"
    length: Annotated[
        Time | None, Attr(Stretch(), "length in epochs or steps; required for training", example="2 epochs")
    ] = None
    batch: Annotated[
        int | None,
        Attr(
            Number(1, whole=True),
            "batch size in examples, over all devices; required for training",
            example="16",
        ),
    ] = None
    micro_batch: Annotated[
        int | None,
        Attr(
            Number(1, whole=True),
            "examples per forward pass on one device; default: all, or 8 in a one-shot stage",
            "-",
            example="4",
        ),
    ] = None
    learning_rate: Annotated[
        Schedule | None,
        Attr(
            ScheduleOf(Number(0)),
            "learning rate; must cover the whole stage; required for training",
            example="linear(8e-5 -> 0, over = start..end)",
        ),
    ] = None
    optimizer: Annotated[
        Chosen,
        Attr(
            Choice("optimizer", OPTIMIZERS),
            "optimizer; its state starts fresh in every stage",
            example="adamw(weight_decay = 0.01)",
        ),
    ] = OPTIMIZERS["adamw"].default()
    clip: Annotated[
        Fraction | None, Attr(OrNone(Number(0, above=True)), "maximum gradient norm, or `none`", example="none")
    ] = Fraction(1)
    label_smoothing: Annotated[
        Fraction,
        Attr(
            Ratio(),
            "share of each label's probability that is spread over all classes, choices or tokens, in the loss of "
            "training; not for question answering, regression and sentence similarity",
            example="10%",
            added=True,
        ),
    ] = Fraction(0)
    class_weights: Annotated[
        tuple[ClassWeight, ...] | str | None,
        Attr(
            ClassWeights(),
            "weight of each class in the loss of a classification or of tagging, by label; `balanced`: examples / (classes "
            "× examples of the class), counted in the training data; default: all count alike",
            example="balanced",
            added=True,
        ),
    ] = None
    ema: Annotated[
        Fraction | None,
        Attr(
            Number(0, 1),
            "decay of an exponential moving average of the weights, which is evaluated and which the stage ends with",
            example="0.999",
            added=True,
        ),
    ] = None
    keep_best: Annotated[
        str | None,
        Attr(
            MeasuredPath(),
            "metric by which the best weights are kept, measured `every` so often by its evaluation once the target is "
            "reached; the stage ends with them",
            example="dev.f1",
            added=True,
        ),
    ] = None
    stop_early: Annotated[
        str | None,
        Attr(
            MeasuredPath(),
            "metric that ends the stage when it no longer improves, measured `every` so often by its evaluation once the "
            "target is reached; schedules stay as planned",
            example="dev.f1",
            added=True,
        ),
    ] = None
    patience: Annotated[
        int,
        Attr(
            Number(1, whole=True),
            "with `stop_early`, measurements in a row without improvement after which the stage ends",
            example="5",
            added=True,
        ),
    ] = 3
    min_delta: Annotated[
        Fraction,
        Attr(
            Number(0),
            "with `stop_early`, what a value must exceed the best one by to be an improvement, as in `0.1%` of `f1`",
            example="0.1%",
            added=True,
        ),
    ] = Fraction(0)
    precision: Annotated[
        str,
        Attr(
            OneOf("fp32", "tf32", "bf16", "fp16"),
            "precision of the arithmetic: `bf16` and `fp16` by autocast, `fp16` with a loss scale; `tf32` in matrix "
            "products of fp32 on GPUs",
            example="bf16",
        ),
    ] = "fp32"
    activation_checkpointing: Annotated[
        bool,
        Attr(
            Boolean(),
            "keep no activations inside layers but compute them again in the backward pass: less memory, the same weights",
            "-",
            example="true",
            added=True,
        ),
    ] = False
    compile: Annotated[bool, Attr(Boolean(), "compile the model with torch.compile", "-", example="false")] = False
    data: Annotated[
        str, Attr(BlockLabel(), "label of the data set; default: the one without a label", example="calibration")
    ] = ""
    seed: Annotated[int | None, Attr(Number(0, whole=True), "seed; default: the seed of the recipe", example="7")] = (
        None
    )
    checkpoint_every: Annotated[
        Time | Quantity | None,
        Attr(
            Cadence(),
            "time between checkpoints, as in `10 min`; default: an epoch, but one minute at least and ten at most",
            "-",
            example="500 steps",
        ),
    ] = None
    keep: Annotated[int, Attr(Number(1, whole=True), "number of checkpoints to keep", "-", example="3")] = 2
    compat: Annotated[
        str | None,
        Attr(
            OneOf("sparseml_1"),
            "count epochs, set learning rates and break ties as this tool did; default: exact steps",
            example="sparseml_1",
            added=True,
        ),
    ] = None
    prunes: tuple[PruneSpec, ...] = ()
    distills: tuple[DistillSpec, ...] = ()
    freezes: tuple[FreezeSpec, ...] = ()
    groups: tuple[GroupSpec, ...] = ()
    drops: tuple[DropSpec, ...] = ()
    shrinks: tuple[ShrinkSpec, ...] = ()
    adapters: tuple[AdapterSpec, ...] = ()

    @property
    def reads_data(self) -> bool:
        """One shot by magnitude, say, looks at weights alone."""
        looks = any(METHODS[p.method.name].looks_at != "weights" for p in self.prunes)
        return self.mode == "train" or looks or any(s.reads_data for s in self.shrinks)

    @classmethod
    def wanted(cls, values: Mapping[str, object]) -> tuple[str, ...]:
        return () if values.get("mode") == "one_shot" else ("length", "batch", "learning_rate")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_shot = self.mode == "one_shot"
        for prune in self.prunes:
            method, declared = prune.method.name, METHODS[prune.method.name]
            at = f"prune.{prune.name}"
            if declared.looks_at == "inputs" and not one_shot:
                raise conflict(f"{at}.method", f"`{method}` prunes in one shot", "write `mode = one_shot` in the stage")
            if one_shot and (declared.looks_at == "steps" or declared.regrows):
                help = "choose another method, or train"
                does = "swaps weights from step to step" if declared.regrows else "needs training steps"
                raise conflict(f"{at}.method", f"`{method}` {does}, and one shot has none", help)
            if prune.order != "sequential" and declared.looks_at != "inputs":
                help = f"take it out: only {LAYER_BY_LAYER} prune layer by layer"
                raise conflict(f"{at}.order", f"`order` has no effect with `{method}`", help)
            if one_shot and prune.sparsity is not None and prune.sparsity.plain is None:
                message, help = "one shot has no time over which to ramp sparsity", "write the final sparsity alone"
                raise conflict(f"{at}.sparsity", message, help)
        if self.compat and (name := _ends_after(self)):
            message = "`ends = after` and `compat` cannot be combined"
            raise conflict(name, message, "remove `ends`: with `compat` the rate follows that tool's clock")
        for name in ("patience", "min_delta") if self.stop_early is None and not one_shot else ():
            if getattr(self, name) != type(self).model_fields[name].default:
                help = "add `stop_early = dev.f1`, or remove it"
                raise conflict(name, f"`{name}` has no effect without `stop_early`", help)
        if not one_shot:
            self._in_rounds()
            return self
        for shrink in self.shrinks:
            if shrink.rounds is not None:
                help = "one shot takes no steps: remove it, or train"
                raise conflict(f"shrink.{shrink.name}.rounds", "one shot has no rounds", help)
        if self.distills:
            raise conflict("distill", "one shot cannot use a teacher", "remove `distill`, or train")
        for kind, parts in (("freeze", self.freezes), ("group", self.groups), ("adapter", self.adapters)):
            for part in parts:
                raise conflict(
                    f"{kind}.{part.name}", f"one shot takes no `{kind}`", "one shot takes no steps: remove it"
                )
        for name in _OF_TRAINING:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise conflict(name, f"one shot takes no `{name}`", "one shot takes no steps: remove it")
        return self

    def _in_rounds(self) -> None:
        """A training stage shrinks by one block, whose rounds no block with targets of its own stands beside."""
        for shrink in self.shrinks:
            if shrink.rounds is None:
                help = "write `mode = one_shot` in the stage and train in the next one, or add `rounds = 3`"
                raise conflict(f"shrink.{shrink.name}", "a model is shrunk in one shot or in rounds", help)
        if self.shrinks and self.ema is not None:
            help = "remove it, or shrink in a stage of its own"
            raise conflict("ema", "`ema` and rounds of `shrink` cannot be combined in a stage", help)
        if len(self.shrinks) > 1:
            help = "write all sizes into one block"
            raise conflict(f"shrink.{self.shrinks[1].name}", "two blocks of a stage shrink in rounds", help)
        for kind, parts in (
            ("prune", self.prunes),
            ("freeze", self.freezes),
            ("group", self.groups),
            ("adapter", self.adapters),
        ):
            for part in parts if self.shrinks else ():
                message = f"`{kind}` and rounds of `shrink` cannot be combined in a stage"
                help = f"move it to a stage of its own: what `{kind}` selects would change with every round"
                raise conflict(f"{kind}.{part.name}", message, help)


#: attributes of a stage that say something of its steps only
_OF_TRAINING = (
    "length",
    "batch",
    "learning_rate",
    "optimizer",
    "clip",
    "label_smoothing",
    "class_weights",
    "ema",
    "keep_best",
    "stop_early",
    "patience",
    "min_delta",
    "checkpoint_every",
    "keep",
    "compile",
    "activation_checkpointing",
    "compat",
)


def _ends_after(stage: StageSpec) -> str | None:
    """The attribute of a stage with an `ends = after`, which `compat` never read so."""
    blocks: list[tuple[str, Spec]] = [("", stage), *((f"group.{g.name}.", g) for g in stage.groups)]
    blocks += [("distill.", d) for d in stage.distills]
    for path, block in blocks:
        for name in (*STEPWISE, "on"):
            if any(s.ends == "after" for schedule in _schedules(getattr(block, name, None)) for s in schedule.segments):
                return f"{path}{name}"
    return None


def _schedules(value: object) -> Iterator[Schedule]:
    if isinstance(value, Schedule):
        yield value
    elif isinstance(value, tuple):
        yield from (t.weight for t in value if isinstance(t, Term) and t.weight is not None)


class EvaluateSpec(Spec):
    """An evaluation at the end of every stage."""

    LABELS = (1, 1)
    name: str
    source: Annotated[
        str | None,
        Attr(Reference("dataset"), "a separate data set", "s", example='"hf://rajpurkar/squad"', later=(ANY,)),
    ] = None
    data: Annotated[
        str, Attr(BlockLabel(), "label of the data set; default: the one without a label", "s", example="calibration")
    ] = ""
    config: Annotated[
        str | None, Attr(Text(), "configuration of an `hf://` source", "s", example='"plain_text"', later=(ANY,))
    ] = None
    split: Annotated[str, Attr(Text(), "split of the data", "s", example='"validation"')] = "validation"
    samples: Annotated[
        int | None,
        Attr(
            Count("sample", 1),
            "use only the first N examples (for language models: the first N blocks); default: all",
            "s",
            example="1_000 samples",
        ),
    ] = None
    batch: Annotated[
        int | None,
        Attr(
            Number(1, whole=True),
            "examples per forward pass; default: four times the smallest `micro_batch` of the stages, at most 64 texts, or "
            "4,096 tokens of a language model",
            "-",
            example="16",
            added=True,
        ),
    ] = None
    metrics: Annotated[
        tuple[str, ...],
        Attr(
            ListOf(OneOf(*MEASURES)),
            "metrics to measure; default: those of the task",
            "s",
            example="[f1, exact_match]",
            later=("loss",),
            unordered=True,
        ),
    ] = ()
    null_threshold: Annotated[
        Fraction | None,
        Attr(
            Number(),
            "give no answer if its score exceeds that of the best answer by more than this; default: 0 if the data has "
            "unanswerable questions, otherwise every question gets an answer",
            "s",
            example="0",
            added=True,
        ),
    ] = None
    every: Annotated[
        Time | None, Attr(Stretch(), "also evaluate inside a stage, at this interval", "s", example="1 epoch")
    ] = None
    compare: Annotated[
        str | None,
        Attr(
            OneOf("dense"),
            "also evaluate the model that the run starts with: `dev.dense.f1`",
            "s",
            example="dense",
        ),
    ] = None


class ExportSpec(Spec):
    """What to write to the output folder in addition to the record of the run."""

    formats: Annotated[
        tuple[str, ...],
        Attr(
            ListOf(OneOf(WEIGHTS, *CHOSEN)),
            "formats of the model: `safetensors`, always, `onnx` for ONNX Runtime, `openvino` for OpenVINO, "
            "`compressed_tensors` for vLLM",
            "s",
            example="[safetensors, onnx]",
            unordered=True,
        ),
    ] = (WEIGHTS,)
    quantize: Annotated[
        str | None,
        Attr(
            OrNone(OneOf("int8")),
            "write the model in int8, activations quantized as they come: for ONNX Runtime beside `onnx`, "
            "as `compressed_tensors` alone",
            "s",
            example="int8",
            added=True,
        ),
    ] = None
    card: Annotated[bool, Attr(Boolean(), "write a model card", "s", example="false")] = True
    max_shard: Annotated[int, Attr(Size(), "maximum size of a weight file", "s", example="5 GB")] = 5_000_000_000

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.formats and WEIGHTS not in self.formats:
            help = f"write `formats = [{', '.join((WEIGHTS, *self.formats))}]`: every check of a run reads these files"
            raise conflict("formats", f"`formats` lacks `{WEIGHTS}`", help)
        if self.quantize and not {"onnx", "compressed_tensors"} & {*self.formats}:
            help = f"write `formats = [{', '.join((*self.formats, 'onnx'))}]`"
            raise conflict("quantize", "`quantize` needs `onnx` or `compressed_tensors` in `formats`", help)
        if not self.quantize and "compressed_tensors" in self.formats:
            help = "write `quantize = int8`, or remove it: the safetensors files are what vLLM reads without"
            raise conflict("formats", "`compressed_tensors` needs `quantize = int8`", help)
        return self


class TopSpec(Spec):
    """Attributes outside of blocks."""

    seed: Annotated[int, Attr(Number(0, whole=True), "seed of all random numbers of the run", example="42")] = 42


#: kinds of blocks by where they may stand: the parent's kind ("" is the file)
BLOCKS: dict[str, dict[str, type[Spec]]] = {
    "": {
        "meta": MetaSpec,
        "model": ModelSpec,
        "data": DataSpec,
        "stage": StageSpec,
        "evaluate": EvaluateSpec,
        "harness": HarnessSpec,
        "export": ExportSpec,
        "track": TrackSpec,
    },
    "stage": {
        "prune": PruneSpec,
        "distill": DistillSpec,
        "freeze": FreezeSpec,
        "group": GroupSpec,
        "drop": DropSpec,
        "shrink": ShrinkSpec,
        "adapter": AdapterSpec,
    },
    "data": {"columns": ColumnsSpec, "mix": MixSpec},
}

#: in the language, not in this release: said plainly instead of "unknown"
LATER_BLOCKS = {("", "extension")}
