"""Layer by layer, every matrix reads what it reads in a plain pass through the whole model, bit for bit."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from recipelang.engine.layers import Layers, tokens_of
from recipelang.engine.models import leave_out_cache
from recipelang.source import RecipeError
from tests.layer_walks import Texts, compare

#: sizes that most configs have; unknown ones are taken as they are
SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
#: windows shorter than the texts: the mask of a layer with one differs from the mask of a layer without
MODELS = {
    "bert": {},
    "deberta": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},  # a table of positions beside the states
    "deberta-v2": {  # which the same matrices read
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
    },
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},  # one sequence after the other
    "openai-gpt": {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 64},  # blocks that give lists
    "modernbert": {"local_attention": 6, "global_attn_every_n_layers": 3, "cls_token_id": 1, "sep_token_id": 2},
    "llama": {},
    "mistral": {"sliding_window": 4},
    "gemma2": {"sliding_window": 4, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 4, "query_pre_attn_scalar": 8},
    "gpt_oss": {"sliding_window": 4, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3": {},
    "gpt2": {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 64},
    "gpt_neox": {},
    "gpt_neo": {"num_layers": 4, "num_heads": 4, "attention_types": [[["global", "local"], 2]], "window_size": 4},
    "smollm3": {"no_rope_layers": [1, 0, 1, 0]},
}
ENCODERS = ("bert", "deberta", "deberta-v2", "modernbert")


def make(kind: str) -> nn.Module:
    known = AutoConfig.for_model(kind)
    sizes = {name: value for name, value in SIZES.items() if hasattr(known, name)}
    config = AutoConfig.for_model(kind, **{**sizes, **MODELS[kind]})
    torch.manual_seed(0)
    auto = AutoModel if kind in ENCODERS else AutoModelForCausalLM
    model = auto.from_config(config, dtype=torch.float32).eval()
    leave_out_cache(model)
    return model


@pytest.mark.parametrize("kind", MODELS)
def test_every_layer_is_called_as_its_model_calls_it(kind):
    model, texts = make(kind), Texts((12, 9, 12, 5, 7))
    names = [
        n for n, p in model.named_parameters() if n.endswith(".weight") and p.dim() == 2 and any(map(str.isdigit, n.split(".")))
        and type(model.get_submodule(n.removesuffix(".weight"))).__name__ in ("Linear", "Conv1D")
    ]  # fmt: skip
    before = {n: vars(m).get("forward") for n, m in model.named_modules()}
    assert compare(model, names, texts) == names
    assert before == {n: vars(m).get("forward") for n, m in model.named_modules()}


def test_windows_differ_from_layer_to_layer():
    """So that the test above would fail, were the first layer's mask given to all."""
    model, texts = make("gemma2"), Texts((12, 12))
    walk = Layers(model, texts, (), 2, nullcontext, lambda done, of: None)
    portions = walk._calls(list(model.model.layers))
    first, second = (call.named["attention_mask"] for call in portions[0].calls[:2])
    assert not torch.equal(first, second)


KEEP = torch.tensor([[True, True, False], [True, False, False]])


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        ((2, 3), [0, 1, 3]),
        ((6,), [0, 1, 3]),  # one sequence after the other, as OPT and shared experts read them
        ((2, 1, 3), [0, 1, 3]),  # one key for all heads
    ],
)
def test_padding_is_left_out_of_inputs_in_any_form(shape, rows):
    x = torch.arange(2.0 * math.prod(shape)).reshape(*shape, 2)
    assert torch.equal(tokens_of("w", x, KEEP), x.reshape(-1, 2)[rows])
    assert torch.equal(tokens_of("w", x, None), x.reshape(-1, 2))


@pytest.mark.parametrize("shape", [(3, 2), (2, 2), (2, 9), (5,), (1, 4)])
def test_inputs_whose_padding_cannot_be_told_are_refused(shape):
    """Turned as Longformer's, pooled as Funnel's, several rows a token as ProphetNet's, some tokens only."""
    with pytest.raises(RecipeError) as error:
        tokens_of("layer.0.weight", torch.ones(*shape, 2), KEEP)
    found = error.value.diagnostics[0]
    assert found.code == "E055" and "`layer.0.weight`" in found.message and "except" in found.help[0]
