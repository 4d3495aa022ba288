"""Names become roles when both select the same; otherwise globs that select the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from recipelang.migrate.form import Targets
from recipelang.migrate.layouts import INNER, LAYOUTS, WIDTH
from recipelang.migrate.names import (
    Body,
    NotUnderstood,
    as_globs,
    config_of,
    exactly,
    family_of,
    folded,
    matrices,
    reference,
)
from recipelang.migrate.roles import as_parts, as_roles
from recipelang.planning.families import TensorFact
from recipelang.planning.structure import structure
from tests.model_configs import walk_here

BERT = matrices(reference("bert", task="question_answering"))
LLAMA = matrices(reference("llama", task="causal_lm"))
PARTS = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "intermediate.dense", "output.dense",
)  # fmt: skip


def roles(*names: str, modules: bool = False, ignored: tuple[str, ...] = ()) -> str | None:
    tensors = LLAMA if modules else BERT
    return as_roles(Body(tensors).matched(Targets(names, ignored, modules)), tensors)


def test_six_regexes_are_the_encoder() -> None:
    assert roles(*(f"re:bert.encoder.layer.*.{p}.weight" for p in PARTS)) == "@linear & @encoder"


def test_five_regexes_may_be_all_six() -> None:
    """`output.dense` also fits `attention.output.dense`: the peers' patterns take more than they seem to."""
    five = [p for p in PARTS if p != "attention.output.dense"]
    assert roles(*(f"re:bert.encoder.layer.*.{p}.weight" for p in five)) == "@linear & @encoder"


def test_names_one_by_one() -> None:
    names = [f"bert.encoder.layer.{i}.{p}.weight" for i in range(12) for p in PARTS]
    assert roles(*names) == "@linear & @encoder"
    assert roles(*names[:36]) == "@linear & layers(0..5)"
    assert roles(*names[:3]) == "(@query | @key | @value) & layers(0)"
    assert roles(*names, "qa_outputs.weight") == "@linear"


@pytest.mark.parametrize(
    ("names", "ignored", "text"),
    [
        (("Linear",), ("re:.*lm_head",), "@linear & @decoder"),
        (("Linear",), (), "@linear"),
        (("__BLOCKS__",), (), "@linear & @decoder"),
        (("model.layers.0",), (), "@linear & layers(0)"),
        (("model.layers.0", "model.layers.1", "lm_head"), (), "@head | @linear & layers(0..1)"),
        ((r"re:model.layers.\d+$",), (), "@linear & @decoder"),
        (("re:.*q_proj", "re:.*k_proj.weight"), (), "@query | @key"),
        (("re:.*model.layers.1$",), (), "@linear & layers(1)"),
    ],
)
def test_modules(names: tuple[str, ...], ignored: tuple[str, ...], text: str) -> None:
    assert roles(*names, modules=True, ignored=ignored) == text


def test_layer_1_is_not_layer_10() -> None:
    chosen = Body(LLAMA).matched(Targets(("model.layers.1",), modules=True))
    assert chosen and all(".layers.1." in name for name in chosen)


def test_a_deeper_model_than_usual() -> None:
    names = [f"bert.encoder.layer.{i}.{p}.weight" for i in range(12, 24) for p in PARTS]
    tensors = matrices(reference("bert", names))
    assert as_roles(Body(tensors).matched(Targets(tuple(names))), tensors) == "@linear & layers(12..23)"


def test_what_names_nothing_is_found() -> None:
    targets = Targets(("bert.encoder.layer.0.output.dense.weight", "bert.encoder.layer.0.output.dence.weight"))
    assert Body(BERT).unmatched(targets) == ["bert.encoder.layer.0.output.dence.weight"]


def test_families() -> None:
    assert family_of(["re:bert.encoder.layer.*.output"]) == "bert"
    assert family_of(["re:.*q_proj", "lm_head"]) == "llama"
    assert family_of(["model.decoder.layers.0", "lm_head"]) == "opt"
    assert family_of(["re:.*self_attn.qkv_proj", "re:.*down_proj"]) == "phi3"
    assert family_of([f"transformer.h.{i}.{p}" for i in range(2) for p in ("ln_1.weight", "mlp.c_fc.weight")]) == "gpt2"
    assert family_of(["transformer.h.0.attn.q_proj"]) == "gptj"
    assert family_of(["transformer.h.0.self_attention.dense", "re:.*dense_h_to_4h"]) == "bloom"
    assert family_of(["Linear", "lm_head", "re:.*block_sparse_moe.gate"]) == "mixtral"
    assert family_of(["Linear", "re:.*mlp.gate$", "re:.*mlp.shared_expert_gate$"]) == "qwen2_moe"
    assert family_of(["re:.*mlp.gate_proj"]) == "llama"
    # of an encoder and a decoder: what they share with Llama and OPT does not make them those
    assert family_of(["model.encoder.layers.0.self_attn.q_proj", "model.decoder.layers.0.fc1"]) is None
    assert family_of(["re:model.decoder.layers.*.encoder_attn.v_proj"]) is None
    assert family_of(["re:.*SelfAttention.q", "re:.*q_proj"]) is None
    assert family_of(["BertSelfAttention", "re:bert.encoder.layer"]) == "bert"
    assert family_of(["encoder.block.0.layer.0.SelfAttention.q"]) is None
    assert family_of(["gpt_neox.layers.0.attention.dense", "re:.*c_attn"]) is None
    assert family_of(["Linear"]) is None


@pytest.mark.parametrize(
    ("family", "names", "text"),
    [
        ("gpt2", ("re:.*attn.c_attn", "re:.*attn.c_proj"), "@attention"),
        ("gpt2", ("re:transformer.h.[0-3].mlp",), "@ffn & layers(0..3)"),
        ("gpt2", ("re:.*c_attn",), "@query | @key | @value"),
        ("opt", ("re:model.decoder.layers",), "@linear & @decoder"),
        ("opt", ("model.decoder.layers.13.fc1",), "@up & layers(13)"),
        ("gpt_neox", ("re:.*dense_h_to_4h", "re:.*dense_4h_to_h"), "@ffn"),
        ("bloom", ("re:.*self_attention.dense", "re:.*query_key_value"), "@attention"),
        ("bloom", ("re:transformer.h.[0-5].mlp",), "@ffn & layers(0..5)"),
        ("gptj", ("re:.*fc_in", "re:.*fc_out"), "@ffn"),
        ("gptj", ("re:.*attn.q_proj", "re:.*attn.v_proj"), "@query | @value"),
        ("mixtral", ("re:.*self_attn",), "@attention"),
        ("mixtral", (r"re:.*block_sparse_moe.experts.\d+.w[123]",), "@experts"),
        ("mixtral", (r"re:.*block_sparse_moe.experts.\d+.w2",), "@down"),
        ("mixtral", ("re:.*block_sparse_moe",), "@experts | @router"),
        ("mixtral", ("re:model.layers.[0-3].block_sparse_moe.experts",), "@ffn & layers(0..3)"),
        ("mixtral", (r"re:.*block_sparse_moe.experts.\d+.w1",), None),  # lies in one matrix with w3
        ("mixtral", ("model.layers.0.block_sparse_moe.experts.3",), None),
        ("mixtral", ("re:.*block_sparse_moe.experts", "re:model.layers.0.block_sparse_moe.gate"), None),
        ("qwen2_moe", ("re:.*mlp.experts", "re:.*mlp.shared_expert.(gate|up|down)_proj"), "@ffn"),
        (
            "qwen2_moe",
            ("re:.*self_attn", "re:.*mlp.shared_expert.(gate|up|down)_proj"),
            "@linear except (@experts | @head)",
        ),
        ("phi3", ("re:.*gate_up_proj",), "@gate | @up"),
        ("phi3", ("re:.*qkv_proj", "re:.*o_proj", "re:.*gate_up_proj", "re:.*down_proj"), "@linear & @decoder"),
    ],
)
def test_names_of_other_decoders_are_roles(family: str, names: tuple[str, ...], text: str | None) -> None:
    tensors = matrices(reference(family, names))
    assert as_roles(Body(tensors).matched(Targets(names, modules=True)), tensors) == text


def test_a_mixture_without_its_router_is_what_linear_means() -> None:
    for family, gate in (("mixtral", "re:.*block_sparse_moe.gate"), ("qwen2_moe", "re:.*mlp.(shared_expert_)?gate$")):
        tensors = matrices(reference(family))
        for ignored, text in (
            (("lm_head", gate), "@linear & @decoder"),
            (("lm_head",), "@linear & @decoder | @router"),
        ):
            assert as_roles(Body(tensors).matched(Targets(("Linear",), ignored, True)), tensors) == text
    named = [f"model.layers.0.mlp.experts.{i}.up_proj" for i in range(128)]
    assert len({t.name for t in reference("qwen2_moe", named) if "experts" in t.roles and t.layer == 0}) == 3 * 128


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe"])
def test_a_layout_of_experts_has_the_roles_of_the_model_class(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    walk_here(monkeypatch)
    config = {**config_of(family), "num_key_value_heads": 12, "num_hidden_layers": 1}
    real = structure(Path(), config, "causal_lm", None).facts
    ours = reference(family)

    def of(tensors: Iterable[TensorFact], word: str) -> set[frozenset[str]]:
        return {t.roles - {"linear"} for t in tensors if t.layer == 0 and word in t.roles and t.name.endswith("weight")}

    for word in ("attention", "router"):
        assert of(ours, word) == of(real, word)
    experts = {t.roles for t in real if "experts" in t.roles}
    assert {t.roles for t in ours if "experts" in t.roles} == experts and len(experts) == 2


def test_falcon_has_the_names_of_bloom(monkeypatch: pytest.MonkeyPatch) -> None:
    walk_here(monkeypatch)
    config = {**config_of("bloom"), "model_type": "falcon", "num_attention_heads": 12, "hidden_size": WIDTH}
    real = {t.name: t.roles for t in structure(Path(), config, "causal_lm", None).facts}
    for tensor in matrices(reference("bloom")):
        assert real[tensor.name] - {"linear"} == tensor.roles - {"linear"}, tensor.name


@pytest.mark.parametrize("family", [f for f, layout in LAYOUTS.items() if not layout.experts])
def test_a_layout_is_that_of_the_model_class(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    walk_here(monkeypatch)
    config = {
        **config_of(family), "n_embd": WIDTH, "n_layer": 12, "n_head": 12, "word_embed_proj_dim": WIDTH,
        "ffn_dim": INNER, "num_key_value_heads": 12, "pad_token_id": 0,
    }  # fmt: skip
    real = {t.name: t for t in structure(Path(), config, "causal_lm", None).facts}
    ours = {t.name: t for t in reference(family)}
    assert ours.keys() == real.keys()
    for name, tensor in ours.items():
        assert tensor.layer == real[name].layer
        if "linear" in tensor.roles:
            assert (tensor.shape, tensor.roles) == (real[name].shape, real[name].roles), name


ALL = reference("bert")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("re:bert.embeddings.*",), "@embeddings"),
        (("re:bert.encoder.*",), "@encoder"),
        (("re:bert.encoder.layer.[0-3][.].*",), "layers(0..3)"),
        (("re:bert.embeddings", "re:bert.encoder.layer.(0|11)[.]"), "@embeddings | layers(0) | layers(11)"),
        (("re:.*LayerNorm", "re:bert.embeddings.*"), "@embeddings | @norm"),
        (("__ALL__",), '"**"'),
        (("re:.*",), '"**"'),
        (("bert.encoder.layer.0.output.dense.weight",), None),
        (("re:bert.encoder.layer.0.output",), None),
    ],
)
def test_what_is_frozen_is_all_that_the_names_mean(names: tuple[str, ...], text: str | None) -> None:
    """Biases and norms too; a role only where everything that it means is meant."""
    assert as_parts(Body(ALL).matched(Targets(names)), ALL) == text


def test_a_pattern_is_the_beginning_of_a_name() -> None:
    targets = Targets(("re:bert.encoder.layer.*.output",))
    assert exactly(targets, Body(ALL).matched(targets), ALL) == '"bert.encoder.layer.**.output**"'
    assert as_globs(Targets(("re:a.[01]",))) == 're"a.[01].*"'
    assert as_globs(Targets(("re:a.[01]$",))) == 're"a.[01]"'
    assert as_globs(Targets(("re:.*layers.1",), modules=True)) == '"**layers.1**"'


def test_globs_that_take_too_much_are_names() -> None:
    """`layer.1` is a beginning of `layer.10` for a loader; where a glob says something else, names do."""
    targets = Targets(("bert.encoder.layer.0", "re:bert.encoder.layer.1[.]output[.]dense[.]"))
    chosen = Body(ALL).matched(targets)
    dense = "bert.encoder.layer.1.output.dense"
    assert exactly(targets, chosen, ALL) == f'"{dense}.weight" | "{dense}.bias"'


def test_globs_without_a_family() -> None:
    names = [f"encoder.block.{i}.layer.0.SelfAttention.{p}.weight" for i in range(12) for p in "qkvo"]
    assert as_globs(Targets(tuple(names))).startswith('"encoder.block.{0..11}.{layer.0.SelfAttention.q,')
    assert as_globs(Targets(("re:h.*.mlp",), modules=True)) == '"h.**.mlp.**"'
    assert as_globs(Targets(("re:a.[01].b.weight",))) == 're"a.[01].b.weight"'
    assert folded(["a.0.x.weight", "a.2.x.weight"]) == ["a.{0,2}.x.weight"]


@pytest.mark.parametrize("name", ['a" | "b', "a\nb", "re:(?=x)", "re:a\nb(", "a*", "a{b,c}"])
def test_a_name_cannot_become_more_than_a_name(name: str) -> None:
    with pytest.raises(NotUnderstood):
        as_globs(Targets((name,)))
