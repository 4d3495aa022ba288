"""Model families: the parameters a task model will have, from its config alone, and what each is for.

Names and shapes are those of transformers' `AutoModelFor...` classes; a test
compares every family with a real instantiation. A family is a function from a
config to its tensors, registered under its `model_type`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from recipelang.source import fail
from recipelang.tasks import task_of

Config = dict[str, Any]

#: more than any set of classes; a head is made, whatever the weights hold
MAX_LABELS = 1_000_000


@dataclass(frozen=True)
class TensorFact:
    """`roles` are the words after `@`; `layer` counts from 0. A matrix is outputs × inputs, whatever the storage."""

    name: str
    shape: tuple[int, ...]
    roles: frozenset[str]
    layer: int | None = None
    turned: bool = False  # stored as inputs × outputs
    below: bool = False  # experts that are stored one below the other in two dimensions

    @property
    def stack(self) -> str:
        """The path of the layers that its own is one of; a whole name where it is in none."""
        return self.name.partition(f".{self.layer}.")[0]

    @property
    def tied(self) -> bool:
        """One matrix for the embeddings and for the head of a language model."""
        return {"embeddings", "head"} <= self.roles

    @property
    def drawn(self) -> bool:
        """Made anew where the weights lack it."""
        return bool(self.roles & {"head", "pooler"}) and "embeddings" not in self.roles

    @property
    def stored_shape(self) -> tuple[int, ...]:
        shape = (*self.shape[:-2], *reversed(self.shape[-2:])) if self.turned else self.shape
        return (shape[0] * shape[1], *shape[2:]) if self.below else shape

    @property
    def prunable(self) -> bool:
        """A matrix, or a stack of experts, each of them a matrix: only these take part in sparsity."""
        if len(self.shape) == 2:
            return not {"bias", "experts"} <= self.roles
        return len(self.shape) == 3 and "linear" in self.roles

    @property
    def size(self) -> int:
        n = 1
        for d in self.shape:
            n *= d
        return n


def _linear(
    name: str, rows: int, columns: int, roles: str, layer: int | None = None, bias: bool = True
) -> Iterator[TensorFact]:
    words = frozenset(roles.split())
    yield TensorFact(f"{name}.weight", (rows, columns), words | {"linear"}, layer)
    if bias:
        yield TensorFact(f"{name}.bias", (rows,), words | {"bias"}, layer)


def _norm(name: str, width: int, roles: str, layer: int | None = None, bias: bool = True) -> Iterator[TensorFact]:
    words = frozenset(roles.split()) | {"norm"}
    yield TensorFact(f"{name}.weight", (width,), words, layer)
    if bias:
        yield TensorFact(f"{name}.bias", (width,), words, layer)


def _table(name: str, rows: int, width: int, roles: str = "embeddings") -> TensorFact:
    return TensorFact(f"{name}.weight", (rows, width), frozenset(roles.split()))


#: what the names of a family's body begin with; a folder saved without a head leaves it out
BODY = {"bert": "bert", "roberta": "roberta", "distilbert": "distilbert", "llama": "model"}
#: and where a head calls it something else
_OTHER_BODY = {("llama", "question_answering"): "transformer"}


def body_of(family: str, head: str) -> str:
    return _OTHER_BODY.get((family, head), BODY[family])


#: families whose language models share one matrix between embeddings and head, unless the config says otherwise
_TIES = ("bert", "roberta", "distilbert")


def is_tied(config: Config, task: str) -> bool:
    """Whether the matrix of the word embeddings is the head's as well: one tensor with both roles."""
    default = config.get("model_type") in _TIES
    return task_of(task).gives == "words" and bool(config.get("tie_word_embeddings", default))


def _words(name: str, config: Config, width: int, task: str) -> TensorFact:
    return _table(name, config["vocab_size"], width, "embeddings head" if is_tied(config, task) else "embeddings")


def label_count(config: Config) -> int:
    count = len(config["id2label"]) if config.get("id2label") else int(config.get("num_labels") or 2)
    if not 0 < count <= MAX_LABELS:
        raise ValueError(f"a head has 1 to {MAX_LABELS:,} labels")
    return count


def label_names(config: Config) -> tuple[str, ...]:
    """In the order of the head's outputs; transformers' own where the config has none."""
    known = config.get("id2label") or {str(i): f"LABEL_{i}" for i in range(label_count(config))}
    return tuple(str(known[i]) for i in sorted(known, key=int))


def _bert_body(config: Config, prefix: str, positions: int, task: str) -> Iterator[TensorFact]:
    h, f = config["hidden_size"], config["intermediate_size"]
    yield _words(f"{prefix}.embeddings.word_embeddings", config, h, task)
    yield _table(f"{prefix}.embeddings.position_embeddings", positions, h)
    yield _table(f"{prefix}.embeddings.token_type_embeddings", config.get("type_vocab_size", 2), h)
    yield from _norm(f"{prefix}.embeddings.LayerNorm", h, "embeddings")
    for i in range(config["num_hidden_layers"]):
        at = f"{prefix}.encoder.layer.{i}"
        for part in ("query", "key", "value"):
            yield from _linear(f"{at}.attention.self.{part}", h, h, f"encoder attention {part}", i)
        yield from _linear(f"{at}.attention.output.dense", h, h, "encoder attention out", i)
        yield from _norm(f"{at}.attention.output.LayerNorm", h, "encoder attention", i)
        yield from _linear(f"{at}.intermediate.dense", f, h, "encoder ffn up", i)
        yield from _linear(f"{at}.output.dense", h, f, "encoder ffn down", i)
        yield from _norm(f"{at}.output.LayerNorm", h, "encoder ffn", i)


def bert(config: Config, task: str) -> Iterator[TensorFact]:
    h = config["hidden_size"]
    yield from _bert_body(config, "bert", config["max_position_embeddings"], task)
    if task in ("sequence_classification", "multiple_choice"):
        yield from _linear("bert.pooler.dense", h, h, "pooler")
    match task:
        case "question_answering":
            yield from _linear("qa_outputs", 2, h, "head")
        case "sequence_classification" | "token_classification":
            yield from _linear("classifier", label_count(config), h, "head")
        case "multiple_choice":
            yield from _linear("classifier", 1, h, "head")
        case "masked_lm":
            yield TensorFact("cls.predictions.bias", (config["vocab_size"],), frozenset({"head", "bias"}))
            yield from _linear("cls.predictions.transform.dense", h, h, "head")
            yield from _norm("cls.predictions.transform.LayerNorm", h, "head")
            if not is_tied(config, task):
                yield from _linear("cls.predictions.decoder", config["vocab_size"], h, "head")


def roberta(config: Config, task: str) -> Iterator[TensorFact]:
    h = config["hidden_size"]
    yield from _bert_body(config, "roberta", config["max_position_embeddings"], task)
    if task == "multiple_choice":
        yield from _linear("roberta.pooler.dense", h, h, "pooler")
    match task:
        case "question_answering":
            yield from _linear("qa_outputs", 2, h, "head")
        case "sequence_classification":
            yield from _linear("classifier.dense", h, h, "head")
            yield from _linear("classifier.out_proj", label_count(config), h, "head")
        case "token_classification":
            yield from _linear("classifier", label_count(config), h, "head")
        case "multiple_choice":
            yield from _linear("classifier", 1, h, "head")
        case "masked_lm":
            yield TensorFact("lm_head.bias", (config["vocab_size"],), frozenset({"head", "bias"}))
            yield from _linear("lm_head.dense", h, h, "head")
            yield from _norm("lm_head.layer_norm", h, "head")
            if not is_tied(config, task):
                yield from _linear("lm_head.decoder", config["vocab_size"], h, "head")


def distilbert(config: Config, task: str) -> Iterator[TensorFact]:
    h, f = config["dim"], config["hidden_dim"]
    yield _words("distilbert.embeddings.word_embeddings", config, h, task)
    yield _table("distilbert.embeddings.position_embeddings", config["max_position_embeddings"], h)
    yield from _norm("distilbert.embeddings.LayerNorm", h, "embeddings")
    parts = {"q_lin": "query", "k_lin": "key", "v_lin": "value", "out_lin": "out"}
    for i in range(config["n_layers"]):
        at = f"distilbert.transformer.layer.{i}"
        for name, role in parts.items():
            yield from _linear(f"{at}.attention.{name}", h, h, f"encoder attention {role}", i)
        yield from _norm(f"{at}.sa_layer_norm", h, "encoder attention", i)
        yield from _linear(f"{at}.ffn.lin1", f, h, "encoder ffn up", i)
        yield from _linear(f"{at}.ffn.lin2", h, f, "encoder ffn down", i)
        yield from _norm(f"{at}.output_layer_norm", h, "encoder ffn", i)
    match task:
        case "question_answering":
            yield from _linear("qa_outputs", 2, h, "head")
        case "token_classification":
            yield from _linear("classifier", label_count(config), h, "head")
        case "sequence_classification":
            yield from _linear("pre_classifier", h, h, "head")
            yield from _linear("classifier", label_count(config), h, "head")
        case "multiple_choice":
            yield from _linear("pre_classifier", h, h, "head")
            yield from _linear("classifier", 1, h, "head")
        case "masked_lm":
            yield from _linear("vocab_transform", h, h, "head")
            yield from _norm("vocab_layer_norm", h, "head")
            if is_tied(config, task):
                yield TensorFact("vocab_projector.bias", (config["vocab_size"],), frozenset({"head", "bias"}))
            else:
                yield from _linear("vocab_projector", config["vocab_size"], h, "head")


def llama(config: Config, task: str) -> Iterator[TensorFact]:
    h, f = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or h // heads
    kv = (config.get("num_key_value_heads") or heads) * width
    bias, mlp_bias = bool(config.get("attention_bias")), bool(config.get("mlp_bias"))
    prefix = body_of("llama", task)
    yield _words(f"{prefix}.embed_tokens", config, h, task)
    for i in range(config["num_hidden_layers"]):
        at = f"{prefix}.layers.{i}"
        shapes = {"q_proj": ("query", heads * width, h), "k_proj": ("key", kv, h), "v_proj": ("value", kv, h)}
        for name, (role, rows, columns) in {**shapes, "o_proj": ("out", h, heads * width)}.items():
            yield from _linear(f"{at}.self_attn.{name}", rows, columns, f"decoder attention {role}", i, bias)
        for name, rows, columns in (("gate", f, h), ("up", f, h), ("down", h, f)):
            yield from _linear(f"{at}.mlp.{name}_proj", rows, columns, f"decoder ffn {name}", i, mlp_bias)
        yield from _norm(f"{at}.input_layernorm", h, "decoder", i, bias=False)
        yield from _norm(f"{at}.post_attention_layernorm", h, "decoder", i, bias=False)
    yield from _norm(f"{prefix}.norm", h, "", bias=False)
    match task:
        case "causal_lm" if not is_tied(config, task):
            yield from _linear("lm_head", config["vocab_size"], h, "head", bias=False)
        case "question_answering":
            yield from _linear("qa_outputs", 2, h, "head")
        case "sequence_classification" | "token_classification":
            yield from _linear("score", label_count(config), h, "head", bias=task == "token_classification")


Family = Callable[[Config, str], Iterator[TensorFact]]


def _or_bare(family: Family) -> Family:
    """A model without a head is what is left: its names lack the word that heads put before those of the body."""

    def tensors(config: Config, task: str) -> Iterator[TensorFact]:
        bare = task_of(task).gives == "embeddings"
        for tensor in family(config, task):
            yield replace(tensor, name=tensor.name.partition(".")[2]) if bare else tensor

    return tensors


FAMILIES: dict[str, Family] = {
    "bert": _or_bare(bert),
    "roberta": _or_bare(roberta),
    "distilbert": _or_bare(distilbert),
    "llama": _or_bare(llama),
}

#: the heads that a family has, each by the task that it was made for
HEADS: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("bert", "roberta", "distilbert"),
        frozenset(
            {
                "question_answering",
                "sequence_classification",
                "multiple_choice",
                "token_classification",
                "masked_lm",
                "sentence_similarity",
            }
        ),
    ),
    "llama": frozenset(
        {"causal_lm", "question_answering", "sequence_classification", "token_classification", "sentence_similarity"}
    ),
}


def tensors_of(family: str, config: Config, task: str) -> Iterator[TensorFact]:
    """Of the model for a task, in the order of its `named_parameters()`."""
    return FAMILIES[family](config, task_of(task).head)


def check_head(family: str, task: str) -> None:
    """E073 where a family has no head for a task."""
    if task_of(task).head not in HEADS[family]:
        raise fail("E073", f"`{family}` has no head for {task}", help=f"it has {', '.join(sorted(HEADS[family]))}")
