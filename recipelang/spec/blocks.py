"""The closed schema of language version 1: every block, attribute, default.

Each attribute is written once, here: binding, messages, the canonical form and
the reference pages come from it. A default is part of version 1 for good.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Annotated, Self

from pydantic import model_validator

from recipelang.kinds.choice import Choice
from recipelang.kinds.measures import Count, Size, Stretch
from recipelang.kinds.plain import BlockLabel, Boolean, ListOf, Number, OneOf, OrNone, Ratio, Reference, Text
from recipelang.kinds.schedule import ScheduleOf
from recipelang.kinds.tensors import Pattern, Selector
from recipelang.kinds.terms import LOGITS, Kept, Terms
from recipelang.methods import METHODS
from recipelang.spec.attribute import ANY, Attr, Spec, conflict
from recipelang.spec.controls import DropSpec, FreezeSpec, GroupSpec
from recipelang.spec.metrics import MEASURES, TASKS
from recipelang.spec.optimizers import OPTIMIZERS
from recipelang.values import selector as sel
from recipelang.values.composite import Chosen, Schedule, SparsityPattern, StageRef, Term
from recipelang.values.quantities import Time

_strings = ListOf(Text())
#: methods that gather inputs, as a text
LAYER_BY_LAYER = " and ".join(f"`{m.name}`" for m in METHODS.values() if m.looks_at == "inputs")

#: attributes that change at every step
STEPWISE = ("learning_rate", "hardness", "temperature")


class MetaSpec(Spec):
    """Who wrote the recipe, under which licence, and what it rests on."""

    version: Annotated[str | None, Attr(Text(), "version of this recipe", "-", example='"1.0.0"')] = None
    authors: Annotated[tuple[str, ...], Attr(_strings, "who wrote it", "-", example='["A. Author"]')] = ()
    license: Annotated[str | None, Attr(Text(), "SPDX name of its licence", "-", example='"Apache-2.0"')] = None
    cites: Annotated[
        tuple[str, ...], Attr(_strings, "papers it rests on, as `arxiv:ID`", "-", example='["arxiv:2312.13547"]')
    ] = ()
    tags: Annotated[tuple[str, ...], Attr(_strings, "words to find it by", "-", example='["bert", "squad"]')] = ()
    summary: Annotated[
        str | None, Attr(Text(), "what it does, in one line", "-", example='"BERT-base to 90 % on SQuAD"')
    ] = None
    reported: Annotated[
        tuple[str, ...],
        Attr(
            _strings,
            "results reported elsewhere, with their source",
            "-",
            example='["f1 = 85.98 (arxiv:2203.07259, table 1)"]',
        ),
    ] = ()
    requires: Annotated[
        tuple[str, ...], Attr(_strings, "plug-ins it needs, with versions", "-", example='["acme-prune >= 2, < 3"]')
    ] = ()
    origin: Annotated[
        str | None,
        Attr(
            Text(),
            "the file that it was migrated from, and how that was read",
            "-",
            example='"squad.yaml, read strictly"',
            added=True,
        ),
    ] = None


class ModelSpec(Spec):
    """The model that the first stage starts from."""

    base: Annotated[
        str,
        Attr(
            Reference("model"),
            "`hf://`, `package://DIST/PATH`, or a folder",
            example='"hf://google-bert/bert-base-uncased"',
        ),
    ]
    task: Annotated[
        str,
        Attr(
            OneOf(*TASKS),
            "what the model is trained for; decides head, loss and metrics",
            example="question_answering",
        ),
    ]
    revision: Annotated[str | None, Attr(Text(), "commit or tag of an `hf://` model", example='"v1.0"')] = None
    dtype: Annotated[
        str, Attr(OneOf("fp32", "bf16"), "type of the master weights", example="fp32", later=("bf16",))
    ] = "fp32"
    dropout: Annotated[Fraction | None, Attr(Ratio(), "dropout of hidden layers; unset: the model's", example="0%")] = (
        None
    )
    attention_dropout: Annotated[
        Fraction | None, Attr(Ratio(), "dropout of attention weights; unset: the model's", example="10%")
    ] = None


class DataSpec(Spec):
    """A data set. Without a label it is the default one."""

    LABELS = (0, 1)
    source: Annotated[
        str | None, Attr(Reference("dataset"), "`hf://`, `lib://facts`, or a file", example='"hf://rajpurkar/squad"')
    ] = None
    train: Annotated[
        str | None,
        Attr(Reference("dataset"), "a file of its own, or a split of the source", example='"train-v1.1.json"'),
    ] = None
    validation: Annotated[
        str | None,
        Attr(Reference("dataset"), "a file of its own, or a split of the source", example='"dev-v1.1.json"'),
    ] = None
    test: Annotated[
        str | None, Attr(Reference("dataset"), "a file of its own, or a split of the source", example='"test.json"')
    ] = None
    config: Annotated[str | None, Attr(Text(), "configuration of an `hf://` data set", example='"plain_text"')] = None
    max_length: Annotated[
        int | None, Attr(Count("token", 1), "longest input; unset: 384 or the model's limit", example="384 tokens")
    ] = None
    stride: Annotated[
        int,
        Attr(
            Count("token"),
            "overlap of the windows of a long passage; unset: 128, or as many as fit",
            example="128 tokens",
        ),
    ] = 128
    samples: Annotated[
        int | None,
        Attr(
            Count("sample", 1),
            "only the first N training examples, or, of a language model, N blocks drawn from all; unset: all",
            example="10_000 samples",
        ),
    ] = None
    shuffle: Annotated[bool, Attr(Boolean(), "draw training examples in a new order every epoch", example="true")] = (
        True
    )
    seed: Annotated[int | None, Attr(Number(0, whole=True), "seed of the order; unset: the stage's", example="7")] = (
        None
    )
    classes: Annotated[
        tuple[str, ...],
        Attr(
            _strings,
            "names of the classes for numeric labels, from 0; unset: the names in the data set",
            example='["entailment", "neutral", "contradiction"]',
            added=True,
        ),
    ] = ()
    unlabelled: Annotated[
        tuple[str, ...],
        Attr(
            _strings,
            "labels that mean 'no label': examples with one are left out; unset: `-` next to words or numbers",
            example='["-", "-1"]',
            unordered=True,
            added=True,
        ),
    ] = ()
    positive: Annotated[
        str | None,
        Attr(
            Text(),
            "the class that `f1` counts; unset, with two classes: the one that the other negates, the second of a given "
            "order, or the rarer one",
            "s",
            example='"hate"',
            added=True,
        ),
    ] = None
    answer_is: Annotated[
        str | None,
        Attr(
            OneOf("key", "letter", "text", "place", "number"),
            "how an answer names its choice: by key, letter, text, place from 0 or number from 1; unset: the reading "
            "that fits every answer",
            example="place",
            added=True,
        ),
    ] = None
    group_by_length: Annotated[
        bool,
        Attr(
            Boolean(),
            "draw batches of inputs of like length: less padding, other batches",
            example="true",
            added=True,
        ),
    ] = False
    columns: tuple[tuple[str, str], ...] = ()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.group_by_length and not self.shuffle:
            message = "`group_by_length` and `shuffle = false` exclude each other"
            raise conflict("group_by_length", message, "take one of them out")
        return self


class ColumnsSpec(Spec):
    """Names of the columns, where they are not the usual ones."""

    id: Annotated[str | None, Attr(Text(), "identifier of an example", example='"qid"')] = None
    question: Annotated[str | None, Attr(Text(), "the question", example='"q"')] = None
    context: Annotated[str | None, Attr(Text(), "the passage that a question is about", example='"passage"')] = None
    answers: Annotated[str | None, Attr(Text(), "the answers, with their offsets", example='"spans"')] = None
    text: Annotated[str | None, Attr(Text(), "the text; of a pair the first", example='"content"')] = None
    pair: Annotated[str | None, Attr(Text(), "the second text of a pair", example='"hypothesis"')] = None
    label: Annotated[str | None, Attr(Text(), "the label of a text", example='"gold"')] = None
    choices: Annotated[
        str | None, Attr(Text(), "the choices: a list, or `option` for `option1`, `option2`", example='"option"')
    ] = None
    tokens: Annotated[str | None, Attr(Text(), "the words of a sentence", example='"words"')] = None
    tags: Annotated[str | None, Attr(Text(), "a tag for every word", example='"ner"')] = None
    answer: Annotated[str | None, Attr(Text(), "which choice is right", example='"answerKey"')] = None


class PruneSpec(Spec):
    """Which weights become zero, how they are chosen, and when."""

    LABELS = (1, 1)
    name: str
    targets: Annotated[sel.Selector, Attr(Selector(), "the tensors to prune", example="@linear & @encoder")]
    never: Annotated[
        sel.Selector | None,
        Attr(
            OrNone(Selector()),
            "tensors that must stay dense: an error when `targets` meets them",
            example="@embeddings | @head",
        ),
    ] = None
    method: Annotated[
        Chosen, Attr(Choice("method", METHODS), "how weights are ranked", example="magnitude(scope = uniform)")
    ]
    pattern: Annotated[
        SparsityPattern,
        Attr(Pattern(), "unstructured, `N:M` (N kept) or `block(r, c)`", example="2:4"),
    ] = SparsityPattern("unstructured")
    sparsity: Annotated[
        Schedule | None,
        Attr(
            ScheduleOf(Ratio(), events=True),
            "share of the targets that is zero, over time; none with `hold` and `release`",
            example="cubic(70% -> 90%, over = 10%..90%, updates = 10 per epoch)",
        ),
    ] = None
    order: Annotated[
        str,
        Attr(OneOf("sequential", "parallel"), f"order of the layers for {LAYER_BY_LAYER}", example="sequential"),
    ] = "sequential"

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
                    raise conflict(name, f"`{method.name}` takes no `{name}`", "take it out")
        if refusal := METHODS[method.name].refusal(method, pattern):
            raise conflict(*refusal)
        if pattern.kind == "block" and method.get("scope") == "row":
            help = "rank blocks in each tensor (`uniform`) or all together (`global`)"
            raise conflict("method", "blocks are not ranked by rows", help)
        if pattern.kind == "N:M" and method.get("scope") == "erk":
            help = "write `scope = uniform`: such a pattern gives every tensor the same share"
            raise conflict("method", "an N:M pattern has no densities to choose", help)
        return self


class DistillSpec(Spec):
    """Learn from a teacher's outputs as well as from the labels."""

    teacher: Annotated[
        str | StageRef,
        Attr(Reference("model", stages=True), "a model, or `stage.NAME`: an earlier stage's", example="stage.dense"),
    ]
    on: Annotated[
        tuple[Term, ...],
        Attr(
            Terms(),
            "what to match, each with a `weight`; layers count from 0 and are written `3`, `0..5` (the teacher's at the "
            "same depth) or `1 -> 3`; none: the last for `hidden`, all for `attention`",
            example="[logits, hidden(0 -> 1, 2 -> 5, weight = 0.1)]",
        ),
    ] = LOGITS
    hardness: Annotated[Schedule, Attr(ScheduleOf(Ratio()), "weight of the teacher against the labels", example="100%")]
    temperature: Annotated[
        Schedule, Attr(ScheduleOf(Number(0, above=True)), "softening of both distributions", example="5.5")
    ]
    cache: Annotated[
        bool | str,
        Attr(
            Kept(),
            "keep the teacher's outputs instead of running it again: `true` in fp16, `fp32` in full; outputs only",
            "-",
            example="false",
        ),
    ] = False


class StageSpec(Spec):
    """One stretch of training, with what acts in it."""

    LABELS = (1, 1)
    name: str
    mode: Annotated[
        str,
        Attr(
            OneOf("train", "one_shot"),
            "train, or prune once without a gradient step: then it has neither length, batch nor learning rate",
            example="train",
        ),
    ] = "train"
    length: Annotated[
        Time | None, Attr(Stretch(), "how long, in epochs or steps; required to train", example="2 epochs")
    ] = None
    batch: Annotated[
        int | None,
        Attr(Number(1, whole=True), "examples of an optimizer step, over all devices; required to train", example="16"),
    ] = None
    micro_batch: Annotated[
        int | None,
        Attr(
            Number(1, whole=True),
            "examples of one forward pass on a device; unset: all, or 8 in one shot",
            "-",
            example="4",
        ),
    ] = None
    learning_rate: Annotated[
        Schedule | None,
        Attr(
            ScheduleOf(Number(0)),
            "step size; must cover the whole stage; required to train",
            example="linear(8e-5 -> 0, over = start..end)",
        ),
    ] = None
    optimizer: Annotated[
        Chosen, Attr(Choice("optimizer", OPTIMIZERS), "fresh in every stage", example="adamw(weight_decay = 0.01)")
    ] = OPTIMIZERS["adamw"].default()
    clip: Annotated[
        Fraction | None, Attr(OrNone(Number(0, above=True)), "largest gradient norm, or `none`", example="none")
    ] = Fraction(1)
    precision: Annotated[
        str,
        Attr(OneOf("fp32", "bf16", "fp16"), "type of the arithmetic (autocast)", example="bf16", later=("fp16",)),
    ] = "fp32"
    compile: Annotated[bool, Attr(Boolean(), "compile the model with torch.compile", "-", example="false")] = False
    data: Annotated[str, Attr(BlockLabel(), "label of the data set; unset: the default one", example="calibration")] = (
        ""
    )
    seed: Annotated[int | None, Attr(Number(0, whole=True), "seed; unset: the recipe's", example="7")] = None
    checkpoint_every: Annotated[
        Time | None, Attr(Stretch(), "unset: an epoch or ten minutes, the sooner", "-", example="500 steps")
    ] = None
    keep: Annotated[int, Attr(Number(1, whole=True), "checkpoints to keep", "-", example="3")] = 2
    compat: Annotated[
        str | None,
        Attr(
            OneOf("sparseml_1"),
            "count epochs, set learning rates and break ties as this tool did; unset: exact steps",
            example="sparseml_1",
            added=True,
        ),
    ] = None
    prunes: tuple[PruneSpec, ...] = ()
    distills: tuple[DistillSpec, ...] = ()
    freezes: tuple[FreezeSpec, ...] = ()
    groups: tuple[GroupSpec, ...] = ()
    drops: tuple[DropSpec, ...] = ()

    @property
    def reads_data(self) -> bool:
        """One shot by magnitude, say, looks at weights alone."""
        return self.mode == "train" or any(METHODS[p.method.name].looks_at != "weights" for p in self.prunes)

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
                does = "swaps weights from step to step" if declared.regrows else "looks at steps"
                raise conflict(f"{at}.method", f"`{method}` {does}, and one shot has none", help)
            if prune.order != "sequential" and declared.looks_at != "inputs":
                help = f"take it out: only {LAYER_BY_LAYER} prune layer by layer"
                raise conflict(f"{at}.order", f"`order` has no effect with `{method}`", help)
            if one_shot and prune.sparsity is not None and prune.sparsity.plain is None:
                message, help = "one shot has no time to spread a sparsity over", "write the final sparsity alone"
                raise conflict(f"{at}.sparsity", message, help)
        if self.compat and (name := _ends_after(self)):
            message = "`ends = after` and `compat` exclude each other"
            raise conflict(name, message, "leave `ends` out: with `compat` the rate follows that tool's clock")
        if not one_shot:
            return self
        if self.distills:
            raise conflict("distill", "one shot learns from no teacher", "take `distill` out, or train")
        for kind, parts in (("freeze", self.freezes), ("group", self.groups)):
            for part in parts:
                raise conflict(f"{kind}.{part.name}", f"one shot takes no `{kind}`", "no step is taken: take it out")
        for name in _OF_TRAINING:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise conflict(name, f"one shot takes no `{name}`", "no step is taken: take it out")
        return self


#: attributes of a stage that say something of its steps only
_OF_TRAINING = (
    "length",
    "batch",
    "learning_rate",
    "optimizer",
    "clip",
    "checkpoint_every",
    "keep",
    "compile",
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
    """A measurement at the end of every stage."""

    LABELS = (1, 1)
    name: str
    source: Annotated[
        str | None, Attr(Reference("dataset"), "data of its own", "s", example='"hf://rajpurkar/squad"', later=(ANY,))
    ] = None
    data: Annotated[
        str, Attr(BlockLabel(), "label of a data set; unset: the default one", "s", example="calibration")
    ] = ""
    config: Annotated[
        str | None, Attr(Text(), "configuration of an `hf://` source", "s", example='"plain_text"', later=(ANY,))
    ] = None
    split: Annotated[str, Attr(Text(), "which part of the data", "s", example='"validation"')] = "validation"
    samples: Annotated[
        int | None,
        Attr(
            Count("sample", 1),
            "only the first N examples of it, or of a language model's text the first N blocks; unset: all",
            "s",
            example="1_000 samples",
        ),
    ] = None
    metrics: Annotated[
        tuple[str, ...],
        Attr(
            ListOf(OneOf(*MEASURES)),
            "what to measure; unset: the task's",
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
            "give no answer if its score exceeds the best answer's by more than this; unset: 0 if the data hold "
            "unanswerable questions, otherwise every question gets an answer",
            "s",
            example="0",
            added=True,
        ),
    ] = None
    every: Annotated[Time | None, Attr(Stretch(), "measure inside a stage too, this often", "s", example="1 epoch")] = (
        None
    )
    compare: Annotated[
        str | None,
        Attr(
            OneOf("dense"),
            "measure the model that the run starts from as well: `dev.dense.f1`",
            "s",
            example="dense",
        ),
    ] = None


class ExportSpec(Spec):
    """What the output folder holds beside the record of the run."""

    formats: Annotated[
        tuple[str, ...],
        Attr(ListOf(OneOf("safetensors")), "formats of the weights", "s", example="[safetensors]", unordered=True),
    ] = ("safetensors",)
    card: Annotated[bool, Attr(Boolean(), "write a model card", "s", example="false")] = True
    max_shard: Annotated[int, Attr(Size(), "largest weight file", "s", example="5 GB")] = 5_000_000_000


class TopSpec(Spec):
    """Attributes outside all blocks."""

    seed: Annotated[int, Attr(Number(0, whole=True), "every random stream of the run comes from it", example="42")] = 42


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
    "stage": {
        "prune": PruneSpec,
        "distill": DistillSpec,
        "freeze": FreezeSpec,
        "group": GroupSpec,
        "drop": DropSpec,
    },
    "data": {"columns": ColumnsSpec},
}

#: in the language, not in this release: said plainly instead of "unknown"
LATER_BLOCKS = {("", "extension")}

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
    "null_score_diff_threshold": "null_threshold",
    "pos_label": "positive",
    "class_names": "classes",
    "label_list": "classes",
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

_WARMED_UP = "warm-up is the first part of a list, `[linear(0 -> 5e-5, over = start..1 epoch), linear(5e-5 -> 0, over = 1 epoch..end)]`"
_ACCUMULATED = "`batch` counts the examples of a whole optimizer step; `micro_batch` splits it into passes"
_DEVICES = "examples of one pass; `batch` counts the whole optimizer step, over all passes and devices"

#: of these, those whose value means or is written something else here, so that no fix puts the name right alone; and
#: what to write, where the attribute's own example does not say it
OTHER_VALUES: dict[str, str] = {
    **dict.fromkeys(("warmup", "warmup_steps", "warmup_ratio"), _WARMED_UP),
    **dict.fromkeys(("gradient_accumulation_steps", "accumulate"), _ACCUMULATED),
    **dict.fromkeys(("per_device_train_batch_size", "per_device_batch_size"), _DEVICES),
    "max_steps": "with its unit, as in `length = 100 steps`",
    "update_frequency": "how often it changes, as in `cubic(0% -> 90%, over = 10%..90%, every = 100 steps)`",
    "weight_decay": "as in `optimizer = adamw(weight_decay = 0.01)`",
    **dict.fromkeys(("init_lr", "lr_scheduler_type", "lr_func", "optim"), ""),
    **dict.fromkeys(("final_sparsity", "init_sparsity", "start_epoch", "end_epoch", "inter_func"), ""),
    **dict.fromkeys(("global_sparsity", "score_type", "pruner", "block_size", "distill_output_keys"), ""),
    **dict.fromkeys(("bf16", "fp16", "mask_type", "mask_structure", "save_steps", "eval_steps", "alpha"), ""),
    **dict.fromkeys(("dataset", "path"), ""),
}
