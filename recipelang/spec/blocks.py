"""The closed schema of language version 1: every block, attribute, default.

Each attribute is written once, here: binding, messages, the canonical form and
the reference pages come from it. A default is part of version 1 for good.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from recipelang.schedules.kinds import schedule
from recipelang.spec.methods import METHODS, OPTIMIZERS, chosen
from recipelang.spec.selector_kind import selector
from recipelang.values import kinds as k
from recipelang.values.composite import Chosen, Schedule, SparsityPattern
from recipelang.values.kinds import Kind


@dataclass(frozen=True)
class Attr:
    """`digest`: `b` also in the behaviour digest, `s` in the spec digest only, `-` in neither."""

    kind: Kind
    doc: str
    digest: str = "b"


class Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    #: how many labels the block takes: (least, most)
    LABELS: ClassVar[tuple[int, int]] = (0, 0)

    @classmethod
    @cache
    def attributes(cls) -> dict[str, Attr]:
        return {
            name: next(m for m in info.metadata if isinstance(m, Attr))
            for name, info in cls.model_fields.items()
            if any(isinstance(m, Attr) for m in info.metadata)
        }

    @classmethod
    @cache
    def required(cls) -> tuple[str, ...]:
        return tuple(name for name, info in cls.model_fields.items() if info.is_required() and name in cls.attributes())


_strings = k.list_of(k.text())

TASKS = (
    "question_answering",
    "sequence_classification",
    "multiple_choice",
    "token_classification",
    "masked_lm",
    "causal_lm",
)


class MetaSpec(Spec):
    """Who wrote the recipe, under which licence, and what it rests on."""

    version: Annotated[str | None, Attr(k.text(), "version of this recipe", "-")] = None
    authors: Annotated[tuple[str, ...], Attr(_strings, "who wrote it", "-")] = ()
    license: Annotated[str | None, Attr(k.text(), "SPDX name of its licence", "-")] = None
    cites: Annotated[tuple[str, ...], Attr(_strings, "papers it rests on, as `arxiv:ID`", "-")] = ()
    tags: Annotated[tuple[str, ...], Attr(_strings, "words to find it by", "-")] = ()
    summary: Annotated[str | None, Attr(k.text(), "what it does, in one line", "-")] = None
    reported: Annotated[tuple[str, ...], Attr(_strings, "results reported elsewhere, with their source", "-")] = ()
    requires: Annotated[tuple[str, ...], Attr(_strings, "plug-ins it needs, with versions", "-")] = ()


class ModelSpec(Spec):
    """The model that the first stage starts from."""

    base: Annotated[str, Attr(k.reference("model"), "`hf://`, `package://DIST/PATH`, or a folder")]
    task: Annotated[str, Attr(k.one_of(*TASKS), "what the model is trained for; decides head, loss and metrics")]
    revision: Annotated[str | None, Attr(k.text(), "commit or tag of an `hf://` model")] = None
    dtype: Annotated[str, Attr(k.one_of("fp32", "bf16"), "type of the master weights")] = "fp32"
    dropout: Annotated[Fraction | None, Attr(k.ratio(), "dropout of hidden layers; unset: the model's")] = None
    attention_dropout: Annotated[
        Fraction | None, Attr(k.ratio(), "dropout of attention weights; unset: the model's")
    ] = None


class DataSpec(Spec):
    """A data set. Without a label it is the default one."""

    LABELS = (0, 1)
    source: Annotated[str | None, Attr(k.reference("dataset"), "`hf://`, `lib://facts`, or a file")] = None
    train: Annotated[str | None, Attr(k.reference("dataset"), "a file of its own, or a split of the source")] = None
    validation: Annotated[str | None, Attr(k.reference("dataset"), "a file of its own, or a split of the source")] = (
        None
    )
    test: Annotated[str | None, Attr(k.reference("dataset"), "a file of its own, or a split of the source")] = None
    config: Annotated[str | None, Attr(k.text(), "configuration of an `hf://` data set")] = None
    max_length: Annotated[int | None, Attr(k.count("token"), "longest input; unset: 384 or the model's limit")] = None
    stride: Annotated[int, Attr(k.count("token"), "overlap of the windows of a long passage")] = 128
    samples: Annotated[int | None, Attr(k.count("sample"), "only the first N training examples; unset: all")] = None
    shuffle: Annotated[bool, Attr(k.boolean(), "draw training examples in a new order every epoch")] = True
    seed: Annotated[int | None, Attr(k.number(0, whole=True), "seed of the order; unset: the stage's")] = None
    columns: tuple[tuple[str, str], ...] = ()


class ColumnsSpec(Spec):
    """Names of the columns, where they are not the usual ones."""

    id: Annotated[str | None, Attr(k.text(), "identifier of an example")] = None
    question: Annotated[str | None, Attr(k.text(), "the question")] = None
    context: Annotated[str | None, Attr(k.text(), "the passage that holds the answer")] = None
    answers: Annotated[str | None, Attr(k.text(), "the answers, with their offsets")] = None


class PruneSpec(Spec):
    """Which weights become zero, how they are chosen, and when."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[Any, Attr(selector(), "the tensors to prune")]
    never: Annotated[
        Any, Attr(selector(none=True), "tensors that must stay dense: an error when `targets` meets them")
    ] = None
    method: Annotated[Chosen, Attr(chosen("method", METHODS), "how weights are ranked")]
    pattern: Annotated[SparsityPattern, Attr(k.pattern(), "unstructured, `N:M` (N kept) or `block(r, c)`")] = (
        SparsityPattern("unstructured")
    )
    sparsity: Annotated[
        Schedule, Attr(schedule(k.ratio(), events=True), "share of the targets that is zero, over time")
    ]
    order: Annotated[str, Attr(k.one_of("sequential", "parallel"), "order of layers in one-shot pruning")] = (
        "sequential"
    )


class DistillSpec(Spec):
    """Learn from a teacher's outputs as well as from the labels."""

    teacher: Annotated[Any, Attr(k.reference("model", stages=True), "a model, or `stage.NAME`: an earlier stage's")]
    on: Annotated[
        tuple[str, ...],
        Attr(
            k.list_of(k.one_of("logits", "start_logits", "end_logits", "hidden", "attention")), "which outputs to match"
        ),
    ] = ("logits",)
    hardness: Annotated[Schedule, Attr(schedule(k.ratio()), "weight of the teacher against the labels")]
    temperature: Annotated[Schedule, Attr(schedule(k.number(0, above=True)), "softening of both distributions")]
    cache: Annotated[bool, Attr(k.boolean(), "keep the teacher's outputs instead of running it again", "-")] = False


class StageSpec(Spec):
    """One stretch of training, with what acts in it."""

    LABELS = (1, 1)
    name: str
    mode: Annotated[str, Attr(k.one_of("train", "one_shot"), "train, or prune once without gradient steps")] = "train"
    length: Annotated[Any, Attr(k.span(), "how long, in epochs or steps")]
    batch: Annotated[int, Attr(k.number(1, whole=True), "examples of an optimizer step, over all devices")]
    micro_batch: Annotated[
        int | None, Attr(k.number(1, whole=True), "examples of one forward pass on a device; unset: all", "-")
    ] = None
    learning_rate: Annotated[Schedule, Attr(schedule(k.number(0)), "step size; must cover the whole stage")]
    optimizer: Annotated[Chosen, Attr(chosen("optimizer", OPTIMIZERS), "fresh in every stage")] = OPTIMIZERS[
        "adamw"
    ].default()
    clip: Annotated[Fraction | None, Attr(k.number(0, none=True, above=True), "largest gradient norm, or `none`")] = (
        Fraction(1)
    )
    precision: Annotated[str, Attr(k.one_of("fp32", "bf16", "fp16"), "type of the arithmetic (autocast)")] = "fp32"
    compile: Annotated[bool, Attr(k.boolean(), "compile the model with torch.compile", "-")] = False
    data: Annotated[str, Attr(k.label(), "label of the data set; unset: the default one")] = ""
    seed: Annotated[int | None, Attr(k.number(0, whole=True), "seed; unset: the recipe's")] = None
    checkpoint_every: Annotated[Any, Attr(k.span(), "unset: an epoch or ten minutes, the sooner", "-")] = None
    keep: Annotated[int, Attr(k.number(1, whole=True), "checkpoints to keep", "-")] = 2
    prunes: tuple[PruneSpec, ...] = ()
    distills: tuple[DistillSpec, ...] = ()


class EvaluateSpec(Spec):
    """A measurement at the end of every stage."""

    LABELS = (1, 1)
    name: str
    source: Annotated[str | None, Attr(k.reference("dataset"), "data of its own", "s")] = None
    data: Annotated[str, Attr(k.label(), "label of a data set; unset: the default one", "s")] = ""
    config: Annotated[str | None, Attr(k.text(), "configuration of an `hf://` source", "s")] = None
    split: Annotated[str, Attr(k.text(), "which part of the data", "s")] = "validation"
    metrics: Annotated[
        tuple[str, ...],
        Attr(
            k.list_of(k.one_of("f1", "exact_match", "accuracy", "matthews", "perplexity", "loss")),
            "what to measure; unset: the task's",
            "s",
        ),
    ] = ()
    every: Annotated[Any, Attr(k.span(), "measure inside a stage too, this often", "s")] = None
    compare: Annotated[str | None, Attr(k.one_of("dense"), "measure the dense start as well", "s")] = None


class ExportSpec(Spec):
    """What the output folder holds beside the record of the run."""

    formats: Annotated[tuple[str, ...], Attr(k.list_of(k.one_of("safetensors")), "formats of the weights", "s")] = (
        "safetensors",
    )
    card: Annotated[bool, Attr(k.boolean(), "write a model card", "s")] = True
    max_shard: Annotated[int, Attr(k.size(), "largest weight file", "s")] = 5_000_000_000


class TopSpec(Spec):
    """Attributes outside all blocks."""

    seed: Annotated[int, Attr(k.number(0, whole=True), "every random stream of the run comes from it")] = 42


#: kinds of blocks by where they may stand: the parent's kind ("" is the file)
BLOCKS: dict[str, dict[str, type[Spec]]] = {
    "": {
        "meta": MetaSpec,
        "model": ModelSpec,
        "data": DataSpec,
        "stage": StageSpec,
        "evaluate": EvaluateSpec,
        "export": ExportSpec,
    },
    "stage": {"prune": PruneSpec, "distill": DistillSpec},
    "data": {"columns": ColumnsSpec},
}

#: in the language, not in this release: said plainly instead of "unknown"
LATER_BLOCKS = {("stage", "freeze"), ("stage", "drop"), ("", "extension")}

#: what users of other tools write for an attribute
ALIASES = {
    "lr": "learning_rate",
    "init_lr": "learning_rate",
    "learning_rates": "learning_rate",
    "epochs": "length",
    "num_train_epochs": "length",
    "num_epochs": "length",
    "max_steps": "length",
    "batch_size": "batch",
    "per_device_train_batch_size": "micro_batch",
    "gradient_accumulation_steps": "micro_batch",
    "max_grad_norm": "clip",
    "max_seq_length": "max_length",
    "doc_stride": "stride",
    "distill_output_keys": "on",
    "params": "targets",
    "modules": "targets",
    "ignore": "never",
    "mask_type": "pattern",
    "mask_structure": "pattern",
    "final_sparsity": "sparsity",
    "init_sparsity": "sparsity",
    "model_name_or_path": "base",
    "dataset_name": "source",
    "bf16": "precision",
    "fp16": "precision",
    "warmup": "learning_rate",
    "warmup_steps": "learning_rate",
    "warmup_ratio": "learning_rate",
    "lr_scheduler_type": "learning_rate",
    "lr_func": "learning_rate",
    "train_batch_size": "batch",
    "per_device_batch_size": "micro_batch",
    "accumulate": "micro_batch",
    "start_epoch": "sparsity",
    "end_epoch": "length",
    "update_frequency": "sparsity",
    "inter_func": "sparsity",
    "global_sparsity": "method",
    "score_type": "method",
    "pruner": "method",
    "layers": "targets",
    "block_size": "method",
    "distill_temperature": "temperature",
    "alpha": "hardness",
    "kd_weight": "hardness",
    "distill_hardness": "hardness",
    "teacher_model": "teacher",
    "distill_teacher": "teacher",
    "optim": "optimizer",
    "weight_decay": "optimizer",
    "gradient_clipping": "clip",
    "grad_clip": "clip",
    "save_steps": "checkpoint_every",
    "save_total_limit": "keep",
    "eval_steps": "every",
    "max_train_samples": "samples",
    "max_seq_len": "max_length",
    "model": "base",
    "pretrained": "base",
    "checkpoint": "base",
    "name_or_path": "base",
    "torch_dtype": "dtype",
    "task_name": "task",
    "dataset": "source",
    "path": "source",
    "metric": "metrics",
    "torch_compile": "compile",
    "random_seed": "seed",
}

#: of these, those whose value is written otherwise here: putting the name right is not the whole of it
OTHER_VALUES = frozenset(
    {
        *("init_lr", "warmup", "warmup_steps", "warmup_ratio", "lr_scheduler_type", "lr_func", "max_steps"),
        *("per_device_train_batch_size", "per_device_batch_size", "gradient_accumulation_steps", "accumulate"),
        *("final_sparsity", "init_sparsity", "start_epoch", "end_epoch", "update_frequency", "inter_func"),
        *("global_sparsity", "score_type", "pruner", "block_size", "distill_output_keys", "weight_decay", "optim"),
        *("bf16", "fp16", "mask_type", "mask_structure", "save_steps", "eval_steps", "dataset", "path", "alpha"),
    }
)
