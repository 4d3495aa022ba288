"""Names of tensors in decoders that planning reads from the model class: what recipes of other tools call them.

Names and shapes are those of transformers' classes; a test compares them. Only language models: what such recipes are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recipelang.planning.families import TensorFact

#: how wide the usual model is, its feed-forward blocks, its words and its positions
WIDTH, INNER, WORDS, POSITIONS = 768, 3072, 50257, 2048
_SHAPES = {
    "up": (INNER, WIDTH),
    "gate up": (2 * INNER, WIDTH),
    "down": (WIDTH, INNER),
    "query key value": (3 * WIDTH, WIDTH),
}


@dataclass(frozen=True)
class Layout:
    """`tells` is what only names of this layout match; a layer's names begin with `layer`, its number follows."""

    tells: str
    layer: str
    matrices: Mapping[str, str]  # name in a layer -> roles
    norms: tuple[str, ...]  # in a layer
    embeddings: tuple[str, ...]
    norm: str  # after the layers
    bias: bool = True

    def tensors(self, layers: int) -> tuple[TensorFact, ...]:
        return tuple(self._tensors(layers))

    def _tensors(self, layers: int) -> Iterator[TensorFact]:
        for name, rows in zip(self.embeddings, (WORDS, POSITIONS), strict=False):
            yield TensorFact(f"{name}.weight", (rows, WIDTH), frozenset({"embeddings"}))
        for i in range(layers):
            for name, roles in self.matrices.items():
                block = "attention" if {"query", "key", "value", "out"} & {*roles.split()} else "ffn"
                words, shape = {"decoder", block, *roles.split()}, _SHAPES.get(roles, (WIDTH, WIDTH))
                yield TensorFact(f"{self.layer}.{i}.{name}.weight", shape, frozenset(words | {"linear"}), i)
                if self.bias:
                    yield TensorFact(f"{self.layer}.{i}.{name}.bias", shape[:1], frozenset(words | {"bias"}), i)
            for name in self.norms:
                yield from self._norm(f"{self.layer}.{i}.{name}", {"decoder", "norm"}, i)
        yield from self._norm(self.norm, {"norm"}, None)
        yield TensorFact("lm_head.weight", (WORDS, WIDTH), frozenset({"linear", "head"}))

    def _norm(self, name: str, words: set[str], layer: int | None) -> Iterator[TensorFact]:
        for own in ("weight", "bias") if self.bias else ("weight",):
            yield TensorFact(f"{name}.{own}", (WIDTH,), frozenset(words), layer)


_SEPARATE = {"self_attn.q_proj": "query", "self_attn.k_proj": "key", "self_attn.v_proj": "value"}
LAYOUTS = {
    "gpt2": Layout(
        r"(re:)?.*(attn\\?\.c_(attn|proj)|mlp\\?\.c_(fc|proj))|(re:)?(\.\*)?c_(attn|fc)\b",
        "transformer.h",
        {"attn.c_attn": "query key value", "attn.c_proj": "out", "mlp.c_fc": "up", "mlp.c_proj": "down"},
        ("ln_1", "ln_2"),
        ("transformer.wte", "transformer.wpe"),
        "transformer.ln_f",
    ),
    "opt": Layout(
        r"(re:)?\^?model\\?\.decoder\b",
        "model.decoder.layers",
        {**_SEPARATE, "self_attn.out_proj": "out", "fc1": "up", "fc2": "down"},
        ("self_attn_layer_norm", "final_layer_norm"),
        ("model.decoder.embed_tokens", "model.decoder.embed_positions"),
        "model.decoder.final_layer_norm",
    ),
    "gpt_neox": Layout(
        r"(re:)?\^?gpt_neox\b",
        "gpt_neox.layers",
        {
            "attention.query_key_value": "query key value",
            "attention.dense": "out",
            "mlp.dense_h_to_4h": "up",
            "mlp.dense_4h_to_h": "down",
        },
        ("input_layernorm", "post_attention_layernorm"),
        ("gpt_neox.embed_in",),
        "gpt_neox.final_layer_norm",
    ),
    "phi3": Layout(
        r"(re:)?.*\b(qkv_proj|gate_up_proj)\b",
        "model.layers",
        {
            "self_attn.qkv_proj": "query key value",
            "self_attn.o_proj": "out",
            "mlp.gate_up_proj": "gate up",
            "mlp.down_proj": "down",
        },
        ("input_layernorm", "post_attention_layernorm"),
        ("model.embed_tokens",),
        "model.norm",
        bias=False,
    ),
}
