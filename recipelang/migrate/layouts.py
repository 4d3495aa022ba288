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
    "gate": (INNER, WIDTH),
    "gate up": (2 * INNER, WIDTH),
    "down": (WIDTH, INNER),
    "query key value": (3 * WIDTH, WIDTH),
    # of one expert: transformers keeps its gate and what goes up in one matrix
    "experts gate up": (INNER, WIDTH),
    "experts down": (WIDTH, INNER),
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
    unbiased: tuple[str, ...] = ()  # matrices without one all the same
    head_bias: bool = False
    first_norm: str = ""  # of the embeddings
    experts: int = 0  # of the usual model: `{}` in the name of a matrix is the number of one

    def tensors(self, layers: int, experts: int = 0) -> tuple[TensorFact, ...]:
        return tuple(self._tensors(layers, max(experts, self.experts)))

    def _tensors(self, layers: int, experts: int) -> Iterator[TensorFact]:
        for name, rows in zip(self.embeddings, (WORDS, POSITIONS), strict=False):
            yield TensorFact(f"{name}.weight", (rows, WIDTH), frozenset({"embeddings"}))
        if self.first_norm:
            yield from self._norm(self.first_norm, {"embeddings", "norm"}, None)
        for i in range(layers):
            for name, roles in self.matrices.items():
                block = "attention" if {"query", "key", "value", "out"} & {*roles.split()} else "ffn"
                words, shape = {"decoder", block, *roles.split()}, _SHAPES.get(roles, (WIDTH, WIDTH))
                for whole in [name.format(e) for e in range(experts)] if "{}" in name else [name]:
                    yield TensorFact(f"{self.layer}.{i}.{whole}.weight", shape, frozenset(words | {"linear"}), i)
                if self.bias and name not in self.unbiased:
                    yield TensorFact(f"{self.layer}.{i}.{name}.bias", shape[:1], frozenset(words | {"bias"}), i)
            for name in self.norms:
                yield from self._norm(f"{self.layer}.{i}.{name}", {"decoder", "norm"}, i)
        yield from self._norm(self.norm, {"norm"}, None)
        yield TensorFact("lm_head.weight", (WORDS, WIDTH), frozenset({"linear", "head"}))
        if self.head_bias:
            yield TensorFact("lm_head.bias", (WORDS,), frozenset({"bias", "head"}))

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
    # Falcon's matrices have the same names and roles
    "bloom": Layout(
        r"(re:)?(.*self_attention\\?\.(query_key_value|dense)\b|\^?transformer\\?\.(h\b.*dense_(h_to_4h|4h_to_h)|word_emb))",
        "transformer.h",
        {
            "self_attention.query_key_value": "query key value",
            "self_attention.dense": "out",
            "mlp.dense_h_to_4h": "up",
            "mlp.dense_4h_to_h": "down",
        },
        ("input_layernorm", "post_attention_layernorm"),
        ("transformer.word_embeddings",),
        "transformer.ln_f",
        first_norm="transformer.word_embeddings_layernorm",
    ),
    "gptj": Layout(
        r"(re:)?(.*\bfc_(in|out)\b|\^?transformer\\?\.h\b.*attn\\?\.(q|k|v|out)_proj\b)",
        "transformer.h",
        {
            "attn.q_proj": "query",
            "attn.k_proj": "key",
            "attn.v_proj": "value",
            "attn.out_proj": "out",
            "mlp.fc_in": "up",
            "mlp.fc_out": "down",
        },
        ("ln_1",),
        ("transformer.wte",),
        "transformer.ln_f",
        unbiased=("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj"),
        head_bias=True,
    ),
    # files and older releases of transformers name each expert, newer ones keep them in one stack
    "mixtral": Layout(
        r"(re:)?.*block_sparse_moe\b",
        "model.layers",
        {
            **_SEPARATE,
            "self_attn.o_proj": "out",
            "block_sparse_moe.gate": "router",
            "block_sparse_moe.experts.{}.w1": "experts gate up",
            "block_sparse_moe.experts.{}.w2": "experts down",
            "block_sparse_moe.experts.{}.w3": "experts gate up",
        },
        ("input_layernorm", "post_attention_layernorm"),
        ("model.embed_tokens",),
        "model.norm",
        bias=False,
        experts=8,
    ),
    # and other mixtures with these names
    "qwen2_moe": Layout(
        r"(re:)?.*mlp\\?\.(gate(?![\w])|experts\b|shared_expert)",
        "model.layers",
        {
            **_SEPARATE,
            "self_attn.o_proj": "out",
            "mlp.gate": "router",
            "mlp.shared_expert_gate": "router",
            "mlp.experts.{}.gate_proj": "experts gate up",
            "mlp.experts.{}.up_proj": "experts gate up",
            "mlp.experts.{}.down_proj": "experts down",
            "mlp.shared_expert.gate_proj": "gate",
            "mlp.shared_expert.up_proj": "up",
            "mlp.shared_expert.down_proj": "down",
        },
        ("input_layernorm", "post_attention_layernorm"),
        ("model.embed_tokens",),
        "model.norm",
        bias=False,
        experts=60,
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
