"""What each parameter of a transformers model is for, from the model itself: structure first, names second.

Structure tells embeddings, head, norms, layers, biases, experts; the table of names tells the parts of attention and
of feed-forward blocks. What cannot be told has fewer roles: names and globs always work.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from recipelang.pruning.stacks import layouts_in

#: components of names that make a block one of attention, of feed-forward, of experts
_ATTENTION = re.compile(r"\w*(attn|[aA]ttention)s?|mha")
_FFN = re.compile(
    r"mlp|ffns?|ffn\w*|feed_forward\w*|DenseReluDense|intermediate|output|ff|moe|block_sparse_moe|shared_expert\w*|experts"
    r"|shared_mlp|fc\d|fc_in|fc_out|lin\d|dense_h_to_4h|dense_4h_to_h|rel_attn_ff|layer_1|layer_2"
)
#: norms that stand beside the block they belong to
_ATTENTION_NORM = re.compile(r"sa_layer_norm|(self|encoder|cross|enc)_attn_layer_norm")
_FFN_NORM = re.compile(r"output_layer_norm|full_layer_layer_norm")
#: the name of a projection of attention -> its roles
_PROJECTIONS = {
    "query": "query query_global q q_head q_proj q_lin query_proj wq q_a_proj q_b_proj linear_q input_linear pos_query_proj pos_q_proj w2e_query e2w_query e2e_query Wq",
    "key": "key key_global k k_head k_proj k_lin key_proj wk linear_k pos_key_proj pos_proj Wk",
    "value": "value value_global v v_head v_proj v_lin value_proj wv linear_v Wv",
    "out": "o o_proj out_proj out_lin c_proj dense Wo wo out linear_out output_linear post_proj output",
    "query key value": "query_key_value qkv_proj qkv Wqkv c_attn in_proj att_proj in_proj_qkv in_proj_qkvz",
    "key value": "kv_a_proj_with_mqa kv_b_proj kv_proj kv",
}
#: the name of a projection of a feed-forward block -> its roles
_FEEDS = {
    "up": "up_proj lin1 v1 fc1 fc_in c_fc dense_h_to_4h wi wi_1 w3 ffn ff1 layer_1 dense up_proj_bias fc_1 in_proj w_in linear_1 intermediate proj_up",
    "gate": "gate_proj wi_0 w1 gate_proj_bias",
    "down": "down_proj lin2 fc2 fc_out c_proj dense_4h_to_h wo w2 Wo ffn_output ff2 layer_2 down_proj_bias out_proj w_out output_linear linear_2 output proj_down",
    "gate up": "gate_up_proj Wi gate_up_proj_bias input_linear proj_up_gate",
}
_ROUTERS = ("gate", "router", "wg", "classifier", "shared_expert_gate")
ATTENTION = {name: roles for roles, names in _PROJECTIONS.items() for name in names.split()}
FEEDS = {name: roles for roles, names in _FEEDS.items() for name in names.split()}


@dataclass(frozen=True)
class Part:
    """One parameter. `layer` counts from 0 within its stack, the outermost list of blocks that it lies in."""

    name: str
    shape: tuple[int, ...]
    kind: str  # what owns it: linear, transposed, embedding, norm, experts, turned experts, other
    roles: frozenset[str]
    layer: int | None = None
    stack: str = ""
    tied: tuple[str, ...] = field(default=())  # other names of the same parameter
    below: int = 0  # experts that lie one below the other in two dimensions


def parts_of(model: Any) -> list[Part]:
    """Every parameter of a transformers model, in the order of `named_parameters()`."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    stacks = list(stacks_of(model))
    look = _Look(model, stacks)
    found = []
    for name, parameter in model.named_parameters():
        aliases = names[id(parameter)]
        kinds = [look.kind(n) for n in aliases]
        roles: set[str] = set()
        for alias in aliases:
            roles |= look.roles(alias)
        if "embedding" in kinds:
            roles -= {"linear"}
        layer, stack = look.layer(name)
        below = look.below(name) if parameter.dim() == 2 else 0
        shape = tuple(parameter.shape)
        found.append(Part(name, shape, kinds[0], frozenset(roles), layer, stack, tuple(aliases[1:]), below))
    return found


def prefix_of(model: Any) -> str:
    """What the names of the body begin with, where a head stands beside it."""
    base = str(getattr(model, "base_model_prefix", ""))
    return f"{base}." if base and hasattr(model, base) else ""


def stacks_of(model: nn.Module) -> Iterator[str]:
    """The outermost lists of blocks."""
    found: list[str] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, nn.ModuleList) and len(module) and not inside and _blocks(module):
            found.append(name)
            yield name


def layer_of(name: str, stacks: Sequence[str]) -> str:
    """The path of the layer that a parameter is of; empty outside of them."""
    stack = next((s for s in stacks if name.startswith(f"{s}.")), None)
    return "" if stack is None else f"{stack}.{name[len(stack) + 1 :].partition('.')[0]}"


def _blocks(stack: nn.ModuleList) -> bool:
    """Whether these are layers: more than a single matrix or norm each."""
    return all(any(True for _ in block.children()) for block in stack)


class _Look:
    def __init__(self, model: Any, stacks: list[str]) -> None:
        self.modules = dict(model.named_modules())
        self.stacks = stacks
        self.base = prefix_of(model)
        self.words = None  # of some types a class of their own
        with contextlib.suppress(NotImplementedError):
            self.words = model.get_input_embeddings()
        out = model.get_output_embeddings()
        self.head = next((f"{n}." for n, m in self.modules.items() if out is not None and m is out), None)
        config = model.config
        self.two = bool(getattr(config, "is_encoder_decoder", False))
        self.side = "decoder" if reads_forward(config) else "encoder"

    def layer(self, name: str) -> tuple[int | None, str]:
        stack = next((s for s in self.stacks if name.startswith(f"{s}.")), None)
        if stack is None or self._headed(name):
            return None, ""
        return int(name[len(stack) + 1 :].partition(".")[0]), stack

    def _headed(self, name: str) -> bool:
        if self.head is not None and name.startswith(self.head):
            return True
        return bool(self.base) and not name.startswith(self.base)

    def below(self, name: str) -> int:
        owner, _, own = name.rpartition(".")
        layout = layouts_in(owner, self.modules[owner]).get(own)
        return layout.experts if layout is not None else 0

    def kind(self, name: str) -> str:
        owner, _, own = name.rpartition(".")
        module = self.modules[owner]
        if isinstance(module, nn.Embedding) or (module is self.words and own == "weight"):
            return "embedding"
        if "norm" in type(module).__name__.lower():
            return "norm"
        if isinstance(module, nn.Linear) or _maps(module):
            return "linear"
        if type(module).__name__ == "Conv1D":
            return "transposed"
        if layout := layouts_in(owner, module).get(own):
            return "turned experts" if layout.inputs_first else "experts"
        return "other"

    def roles(self, name: str) -> set[str]:
        kind = self.kind(name)
        owner, _, own = name.rpartition(".")
        roles = set()
        if kind in ("linear", "transposed"):
            roles.add("bias" if own == "bias" else "linear")
        elif own.endswith("bias") and kind != "norm":
            roles.add("bias")
        elif kind.endswith("experts"):
            roles.add("linear")
        if kind == "norm":
            roles.add("norm")
        path = owner.split(".")
        if "pooler" in path:
            return roles | {"pooler"}
        if self._headed(name):
            return roles | {"head"}
        layer, stack = self.layer(name)
        if self.two:
            roles |= {w for w in ("encoder", "decoder") if w in path and layer is not None}
        elif layer is not None:
            roles.add(self.side)
        if kind == "embedding" or (layer is None and any("embed" in p for p in path)):
            roles.add("embeddings")
        if layer is None:
            return roles
        inside = path[len(stack.split(".")) + 1 :]
        named = self._block([stack.rpartition(".")[2], *inside], own, kind)
        return roles | (named or self._block([self._called(owner) if len(inside) > 1 else "", *inside], own, kind))

    def _called(self, owner: str) -> str:
        """What kind of block a module lies in whose own name does not say so: the names of its parts may."""
        parts = {name for name, _ in self.modules[owner.rpartition(".")[0]].named_children()}
        if {"query", "key", "value"} <= {ATTENTION.get(name) for name in parts}:
            return "attention"
        return "mlp" if {"up_proj", "down_proj"} <= parts else ""

    def _block(self, path: list[str], own: str, kind: str) -> set[str]:
        """Of a parameter in a layer: `path` leads to its module from there."""
        last = path[-1] if path else ""
        attention = [i for i, p in enumerate(path) if _ATTENTION.fullmatch(p)]
        feed = [i for i, p in enumerate(path) if _FFN.fullmatch(p)]
        if kind == "norm":
            if attention or _ATTENTION_NORM.fullmatch(last):
                return {"attention"}
            return {"ffn"} if feed or _FFN_NORM.fullmatch(last) else set()
        stacked = kind.endswith("experts") and not any(p.startswith("shared_expert") for p in path)
        experts = {"experts"} if stacked or "experts" in path else set()
        if attention:
            if "router" in path:  # of experts of attention
                return {"attention", "router"}
            name = "out" if path[-2:] == ["output", "dense"] else last
            return {"attention", *(experts if stacked else ()), *ATTENTION.get(name, "").split()}
        if not feed:
            return set()
        roles = {"ffn"} | experts
        if any(p in _ROUTERS for p in path) and "experts" not in path:
            return {"ffn", "router"}
        if path[-2:] == ["output", "dense"]:
            return roles | {"down"}
        names = [own] if own in FEEDS or own.endswith("_bias") else [last]
        return roles | {r for n in names for r in FEEDS.get(n, "").split()}


def _maps(module: nn.Module) -> bool:
    """Whether a class of a model's own is a linear layer: a matrix of the outputs by the inputs that it names."""
    weight = getattr(module, "weight", None)
    named = (getattr(module, "out_features", None), getattr(module, "in_features", None))
    return isinstance(weight, nn.Parameter) and tuple(weight.shape) == named


def reads_forward(config: Any) -> bool:
    """Whether a model of one stack is a decoder: there is a head for causal language modelling, and none for masked."""
    from transformers.models.auto import modeling_auto as auto

    kind = config.model_type
    causal, masked = auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return bool(getattr(config, "is_decoder", False)) or (kind in causal and kind not in masked)
