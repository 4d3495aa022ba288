"""Which units a dimension of a parameter counts: by its roles, and in fused matrices by how their type lays them out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recipelang.planning.families import TensorFact

#: norms inside attention that stand beside the block: over the states, not over all heads
_OF_STATES = re.compile(r"LayerNorm|sa_layer_norm|(self|encoder|cross|enc)_attn_layer_norm|ln|ln_attn")
#: types with queries, keys and values in one matrix: all queries first, then all keys, then all values
_IN_PARTS = ("gpt2", "modernbert", "phi3")
#: and with those of each head together
_BY_HEAD = ("gpt_neox", "persimmon")
#: and those of which each of so many parts holds its share: queries, values, keys; from the parallel training of CodeGen
_IN_SHARES = {"codegen": 4}
#: what configs call the heads of keys and values
GROUPS = ("num_key_value_heads", "num_kv_heads")


@dataclass(frozen=True)
class Units:
    """`parts` times the units of an axis, of `unit` places each; in each of several `blocks`, with a `rest` that stays."""

    axis: str
    parts: int = 1
    unit: int = 1
    rest: int = 0
    blocks: int = 1

    def places(self, units: int) -> int:
        """
        >>> Units("heads", unit=64, rest=128, blocks=8).places(32)
        3072
        """
        return self.parts * self.unit * units + self.blocks * self.rest


@dataclass(frozen=True)
class Heads:
    """The heads of attention in every layer: how many, in how many groups that share keys and values, and their width.

    `fused`: how the matrix of queries, keys and values counts them, where it is one and this release knows how.
    """

    count: int
    groups: int
    width: int
    fused: Units | None = None

    @property
    def alone(self) -> bool:
        """No two heads share keys and values."""
        return self.groups == self.count


def heads_of(family: str, config: Mapping[str, Any], tensors: tuple[TensorFact, ...], count: int) -> Heads | None:
    """None where the width of a head is not known."""
    query = next((t for t in tensors if is_matrix(t, "query") and "key" not in t.roles), None)
    if query is not None:
        groups = int(config.get(GROUPS[0]) or count)
        return Heads(count, groups, query.shape[0] // count) if query.shape[0] % count == 0 else None
    out = next((t for t in tensors if is_matrix(t, "out") and "attention" in t.roles), None)
    fused = any(is_matrix(t, "query") and "key" in t.roles for t in tensors)
    if out is None or not fused or out.shape[1] % count:
        return None
    width = out.shape[1] // count
    how, groups = _fused(family, config, count)
    if not how:
        return None
    if groups == count and how != "shares":
        units = Units("heads", 3, width) if how == "parts" else Units("heads", 1, 3 * width)
    elif how == "shares":
        units = Units("heads", 3, width, blocks=groups)
    elif how == "parts":
        units = Units("heads", 1, width, rest=2 * groups * width)
    else:
        units = Units("heads", 1, width, rest=2 * width, blocks=groups)
    return Heads(count, groups, width, units)


def _fused(family: str, config: Mapping[str, Any], heads: int) -> tuple[str, int]:
    """How queries, keys and values lie in one matrix, and how many keys there are for all heads; no word: not known here.

    From the attention of each type in transformers 5.24; a test compares what a smaller model computes.
    """
    if family in _IN_PARTS:
        return "parts", int(config.get(GROUPS[0]) or heads)
    if family in _BY_HEAD:
        return "heads", heads
    shares = _IN_SHARES.get(family, heads)
    if heads > shares and heads % shares == 0:
        return "shares", shares
    shared = bool(config.get("multi_query", True))
    if family == "gpt_bigcode":
        return ("parts", 1) if shared else ("heads", heads)
    if family == "falcon" and not config.get("alibi"):
        if config.get("new_decoder_architecture"):  # each group of queries, then its key and its value
            return "groups", int(config.get(GROUPS[1]) or heads)
        return ("parts", 1) if shared else ("heads", heads)
    return "", heads


def is_bias_of_heads(name: str) -> bool:
    """Whether it is a table of how far back each head looks, as T5 has them: [distances, heads]."""
    return name.endswith(".relative_attention_bias.weight")


def is_matrix(tensor: TensorFact, role: str) -> bool:
    return {role, "linear"} <= tensor.roles and "router" not in tensor.roles and len(tensor.shape) == 2


def units_of(tensor: TensorFact, dim: int, heads: Heads | None) -> Units | None:
    """What a dimension counts by the roles of its parameter; none where they do not say.

    The axis `groups` is that of keys and values, which stay, and `norm` that of one over all heads.
    """
    roles = tensor.roles
    outputs = dim == 0 and len(tensor.shape) <= 2 and bool(roles & {"linear", "bias"})
    inputs = dim == 1 and len(tensor.shape) == 2 and "linear" in roles
    if "router" in roles or "experts" in roles:
        return None
    if heads is not None and is_bias_of_heads(tensor.name):
        return Units("heads") if dim == 1 and tensor.shape[1] == heads.count else None
    if outputs and roles & {"up", "gate"}:
        return Units("ffn", 2 if {"up", "gate"} <= roles else 1)
    if inputs and "down" in roles:
        return Units("ffn")
    return None if heads is None or "attention" not in roles else _of_attention(tensor, dim, heads, outputs, inputs)


def _of_attention(tensor: TensorFact, dim: int, heads: Heads, outputs: bool, inputs: bool) -> Units | None:
    roles, owner = tensor.roles, tensor.name.split(".")[-2:-1]
    if outputs and {"query", "key", "value"} <= roles:
        return heads.fused
    if outputs and roles & {"key", "value"} and not heads.alone:
        return Units("groups")
    if (outputs and roles & {"query", "key", "value"}) or (inputs and "out" in roles):
        return Units("heads", 1, heads.width)
    if tensor.name.endswith(".sinks") and tensor.shape == (heads.count,):
        return Units("heads")
    beside = bool(owner and _OF_STATES.fullmatch(owner[0])) or ".output." in tensor.name
    if "norm" in roles and not beside and tensor.shape[dim] == heads.count * heads.width:
        return Units("norm", 1, heads.width)  # without some of the heads it would scale the others anew
    return None


def counts_experts(tensor: TensorFact) -> bool:
    """Whether it may have a row or a place for each expert: their stacks, the router, and biases beside it."""
    own = tensor.name.rpartition(".")[2]
    return bool(tensor.roles & {"experts", "router"}) or ("ffn" in tensor.roles and own.startswith("expert"))
