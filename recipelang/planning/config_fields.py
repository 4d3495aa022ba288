"""What is read of a model's config.json, field by field: the type and the range that each must have. E179, E180.

Every field that decides shapes, or that transformers refuses when it is of another type, is in these tables; all
others are left alone. After `check_fields` the config may be used without looking at types again.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipelang.source import RecipeError, fail

#: more than any table of a model has rows, and what 32-bit arithmetic counts to
MOST = 2**31 - 1
#: more than any set of classes; a head is made, whatever the weights hold
MAX_LABELS = 1_000_000
#: of transformers' activations, those without parameters of their own; a test compares
ACTIVATIONS = frozenset(
    [
        "gelu",
        "gelu_10",
        "gelu_fast",
        "gelu_new",
        "gelu_python",
        "gelu_pytorch_tanh",
        "gelu_python_tanh",
        "gelu_accurate",
        "hardswish",
        "laplace",
        "leaky_relu",
        "linear",
        "mish",
        "quick_gelu",
        "relu",
        "relu2",
        "relu6",
        "sigmoid",
        "silu",
        "sqrtsoftplus",
        "swish",
        "tanh",
    ]
)
#: transformers' rotary positions, and what each must be told; a test compares
ROTATIONS: Mapping[str, tuple[str, ...]] = {
    "default": (), "linear": ("factor",), "dynamic": ("factor",), "yarn": ("factor",), "proportional": (),
    "longrope": ("short_factor", "long_factor"), "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}  # fmt: skip
_ROTATION_NUMBERS = ("rope_theta", "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
_ROTATION_LISTS = ("short_factor", "long_factor")
_DTYPES = ("float32", "float16", "bfloat16", "float64", "float", "half", "double", "auto")
_PROBLEMS = ("regression", "single_label_classification", "multi_label_classification")


@dataclass(frozen=True)
class Kind:
    expected: str
    holds: Callable[[Any], bool]
    nothing: bool = False  # `null` may stand for "not given"


def _whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST


def _number(value: Any, least: float, most: float = math.inf) -> bool:
    sort = isinstance(value, int | float) and not isinstance(value, bool)
    return sort and math.isfinite(value) and least <= value <= most


def _labels(value: Any) -> bool:
    """`{"0": name, "1": name, ...}`, one for every output of the head; a name of two classes would join them."""
    numbered = isinstance(value, dict) and 0 < len(value) <= MAX_LABELS
    named = numbered and all(isinstance(value.get(str(i)), str) for i in range(len(value)))
    return named and len(set(value.values())) == len(value)


def _rotation(value: Any) -> bool:
    """Of rotary positions: a type of transformers, under its new or its old key, with what is not made up for it."""
    if not isinstance(value, dict):
        return False
    sort = value.get("rope_type", value.get("type", "default"))
    needed = ROTATIONS.get(sort) if isinstance(sort, str) else None
    given = [value[n] for n in _ROTATION_NUMBERS if value.get(n) is not None]
    given += [i for n in _ROTATION_LISTS for i in (value[n] if isinstance(value.get(n), list) else ())]
    return needed is not None and all(value.get(n) for n in needed) and all(_number(v, 5e-324) for v in given)


COUNT = Kind("a whole number of at least 1", _whole)
SHARE = Kind("a number from 0 to 1", lambda v: _number(v, 0, 1))
POSITIVE = Kind("a number greater than 0", lambda v: _number(v, 5e-324))
SPREAD = Kind("a number of at least 0", lambda v: _number(v, 0))
FLAG = Kind("true or false", lambda v: isinstance(v, bool))
NAME = Kind("a string", lambda v: isinstance(v, str))
ACTIVATION = Kind("the name of an activation", lambda v: isinstance(v, str) and v in ACTIVATIONS)
MAYBE_NAME = Kind("a string", NAME.holds, nothing=True)
DTYPE = Kind("the name of a floating-point type", lambda v: isinstance(v, str) and v in _DTYPES, nothing=True)
PROBLEM = Kind(f"one of {', '.join(_PROBLEMS)}", lambda v: isinstance(v, str) and v in _PROBLEMS, nothing=True)
MAYBE_FLAG = Kind(FLAG.expected, FLAG.holds, nothing=True)
FROM_ZERO = Kind("a whole number of at least 0", lambda v: _whole(v, 0))
NAMES = Kind("a list of strings", lambda v: isinstance(v, list) and all(isinstance(i, str) for i in v), nothing=True)
OBJECT = Kind("an object", lambda v: isinstance(v, dict), nothing=True)
LABELS = Kind('an object of distinct names, keyed "0", "1", and so on', _labels, nothing=True)
ABSOLUTE = Kind(
    "`absolute`, the only positions that transformers still supports", lambda v: v == "absolute", nothing=True
)
EMPTY = Kind("empty: heads removed at load are not supported in this release", lambda v: v == {}, nothing=True)
ALONE = Kind("false: cross-attention is not supported in this release", lambda v: v is False)
ATTENTION = Kind("`eager` or `sdpa`: others need extra packages", lambda v: v in ("eager", "sdpa"), nothing=True)
ROTATION = Kind("a `rope_type` of transformers with positive numbers for all its parameters", _rotation, nothing=True)
EXPERTS = Kind(
    "`eager`, `batched_mm` or `grouped_mm`: others need extra packages",
    lambda v: v in ("eager", "batched_mm", "grouped_mm"),
    nothing=True,
)
CLASSES = Kind(f"a whole number from 1 to {MAX_LABELS:,}", lambda v: _whole(v) and v <= MAX_LABELS, nothing=True)
MAYBE_COUNT = Kind(COUNT.expected, COUNT.holds, nothing=True)
MAYBE_SHARE = Kind(SHARE.expected, SHARE.holds, nothing=True)
TOKEN = Kind("a token id", lambda v: _whole(v, -MOST), nothing=True)
TOKENS = Kind(
    "a token id, or a list of token ids",
    lambda v: TOKEN.holds(v) or (isinstance(v, list) and all(TOKEN.holds(i) for i in v)),
    nothing=True,
)

_EVERY = {
    "architectures": NAMES, "id2label": LABELS, "label2id": OBJECT, "num_labels": CLASSES,
    "problem_type": PROBLEM, "vocab_size": COUNT, "max_position_embeddings": COUNT, "tie_word_embeddings": FLAG,
    "pad_token_id": TOKEN, "bos_token_id": TOKEN, "eos_token_id": TOKENS, "initializer_range": SPREAD,
    "dtype": DTYPE, "torch_dtype": DTYPE, "auto_map": OBJECT, "use_cache": FLAG,
    "transformers_version": MAYBE_NAME, "return_dict": MAYBE_FLAG, "output_hidden_states": MAYBE_FLAG,
    "output_attentions": MAYBE_FLAG, "is_encoder_decoder": FLAG, "chunk_size_feed_forward": FROM_ZERO,
    "attn_implementation": ATTENTION, "_attn_implementation": ATTENTION,
}  # fmt: skip
#: of a mixture of experts
_OF_EXPERTS = {"experts_implementation": EXPERTS, "_experts_implementation": EXPERTS}
#: of a type that is in no table: transformers itself judges the rest
_ANY = {
    **{n: _EVERY[n] for n in (
        "architectures", "id2label", "label2id", "num_labels", "problem_type", "pad_token_id", "bos_token_id",
        "eos_token_id", "dtype", "torch_dtype", "auto_map", "transformers_version", "attn_implementation",
        "_attn_implementation",
    )},
    **_OF_EXPERTS,
    **dict.fromkeys(("tie_word_embeddings", "is_encoder_decoder", "is_decoder"), MAYBE_FLAG),
    **dict.fromkeys(("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"), MAYBE_COUNT),
}  # fmt: skip
_BERT = {
    **_EVERY, "hidden_size": COUNT, "num_hidden_layers": COUNT, "num_attention_heads": COUNT,
    "intermediate_size": COUNT, "type_vocab_size": COUNT, "hidden_act": ACTIVATION, "hidden_dropout_prob": SHARE,
    "attention_probs_dropout_prob": SHARE, "classifier_dropout": MAYBE_SHARE, "layer_norm_eps": POSITIVE,
    "is_decoder": FLAG, "add_cross_attention": ALONE, "position_embedding_type": ABSOLUTE, "pruned_heads": EMPTY,
}  # fmt: skip
FIELDS: dict[str, Mapping[str, Kind]] = {
    "bert": _BERT,
    "roberta": _BERT,
    "distilbert": {
        **_EVERY, "dim": COUNT, "n_layers": COUNT, "n_heads": COUNT, "hidden_dim": COUNT, "activation": ACTIVATION,
        "dropout": SHARE, "attention_dropout": SHARE, "qa_dropout": SHARE, "seq_classif_dropout": SHARE,
        "sinusoidal_pos_embds": FLAG,
    },
    "llama": {
        **_EVERY, "hidden_size": COUNT, "num_hidden_layers": COUNT, "num_attention_heads": COUNT,
        "num_key_value_heads": MAYBE_COUNT, "head_dim": MAYBE_COUNT, "intermediate_size": COUNT,
        "hidden_act": ACTIVATION, "rms_norm_eps": POSITIVE, "attention_bias": FLAG, "mlp_bias": FLAG,
        "attention_dropout": MAYBE_SHARE, "rope_theta": POSITIVE, "rope_scaling": ROTATION, "rope_parameters": ROTATION,
        "pretraining_tp": MAYBE_COUNT,
    },
}  # fmt: skip
#: what the families call their width and their number of attention heads, and how many there are unless said
_WIDTHS = {"distilbert": ("dim", "n_heads", 12)}
_WIDTH = ("hidden_size", "num_attention_heads", 12)


def check_fields(path: Path, family: str, config: Mapping[str, Any]) -> None:
    """`path` is config.json. E179 for a field of another type or out of range, E180 for two that contradict."""
    for name, kind in FIELDS.get(family, _ANY).items():
        if name not in config or (config[name] is None and kind.nothing):
            continue
        if not kind.holds(config[name]):
            notes = [f"found {_shown(config[name])}", f"the file is {path}"]
            help = f"correct `{name}` in config.json"
            raise fail("E179", f"`{name}` in config.json must be {kind.expected}", help=help, notes=notes)
    if family not in FIELDS:  # of the others the tensors are counted out
        _countable(path, config)
    _agree(path, family, config)


#: what configs call their numbers of layers and experts
_COUNTS = re.compile(r"(\w*_)?(layers?|experts|depth|blocks)")
#: more than any model has of either
MOST_PARTS = 10_000


def _countable(path: Path, config: Mapping[str, Any]) -> None:
    """E179 for a number of layers or experts that would take a library hours to list, in parts of the config too."""
    inner = [config]
    while inner:
        for name, value in inner.pop().items():
            if isinstance(value, dict):
                inner.append(value)
            elif isinstance(value, int) and value > MOST_PARTS and _COUNTS.fullmatch(name):
                notes = [f"found {_shown(value)}", f"the file is {path}"]
                help = "take config.json from the same source as the weights"
                message = f"`{name[:80]}` in config.json must be at most {MOST_PARTS:,}"
                raise fail("E179", message, help=help, notes=notes)


def _agree(path: Path, family: str, config: Mapping[str, Any]) -> None:
    """Sizes that only fit together in one way."""
    width, heads, usual = _WIDTHS.get(family, _WIDTH)
    count = config.get(heads, usual)
    if family in FIELDS and config.get(width, count) % count:
        raise _contradiction(
            path, config, width, heads, f"each of {count:,} heads must have an equal share of the width"
        )
    if family == "llama":
        groups = config.get("num_key_value_heads") or count
        if count % groups:
            why = "every key-value head must serve the same number of query heads"
            raise _contradiction(path, config, heads, "num_key_value_heads", why)
        if (config.get("head_dim") or config.get(width, 0) // count) % 2:
            why = "rotary embeddings rotate the two halves of a head, so its width must be even"
            raise _contradiction(path, config, "head_dim" if config.get("head_dim") else width, heads, why)
    labels, number = config.get("id2label"), config.get("num_labels")
    if labels and number and len(labels) != number:
        raise _contradiction(path, config, "id2label", "num_labels", f"`id2label` names {len(labels):,} classes")
    pad, words = config.get("pad_token_id"), config.get("vocab_size")
    if pad is not None and words is not None and pad >= words:
        raise _contradiction(path, config, "pad_token_id", "vocab_size", "token ids are counted from 0")
    for name in ("bos_token_id", "eos_token_id") if family == "llama" else ():  # of encoders they are in no use
        tokens = config.get(name)
        if any(t >= (words or MOST) for t in (tokens if isinstance(tokens, list) else [tokens]) if t is not None):
            raise _contradiction(path, config, name, "vocab_size", "token ids are counted from 0")
    if family == "roberta" and (pad is None or pad >= 0):
        offset = 2 if pad is None else pad + 1
        if config.get("max_position_embeddings", offset + 1) <= offset:
            why = "positions start after the padding token's id, so no position is left"
            raise _contradiction(path, config, "max_position_embeddings", "pad_token_id", why)


def _contradiction(path: Path, config: Mapping[str, Any], a: str, b: str, why: str) -> RecipeError:
    found = ", ".join(f"`{n}` is {_shown(config[n])}" for n in (a, b) if n in config)
    notes = [found, why, f"the file is {path}"]
    help = "take config.json from the same source as the weights"
    return fail("E180", f"`{a}` and `{b}` in config.json contradict each other", help=help, notes=notes)


def _shown(value: object) -> str:
    """A value and its type, for a note."""
    match value:
        case None:
            return "null"
        case dict() | list():
            return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
        case bool():
            return str(value).lower()
        case str():
            return f'"{textwrap.shorten(value, 40, placeholder="…")}", a string'
        case int() if abs(value) >= 10**15:
            return "a number of more than 15 digits"
        case int() | float():
            return f"{value:,}"
    return type(value).__name__
