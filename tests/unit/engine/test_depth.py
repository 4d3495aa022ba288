"""Models that lose layers: the same numbers as leaving the layers out by hand."""

import copy

import pytest
import torch
import transformers
from torch import nn
from transformers import (
    AutoModelForSeq2SeqLM,
    BertConfig,
    BertForQuestionAnswering,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaForQuestionAnswering,
)

from recipelang import RecipeError
from recipelang.engine.depth import keep_layers
from tests.model_heads import TASKS, heads
from tests.model_types import config_of

SIZES = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 5}
MODELS = {
    "bert": (BertForQuestionAnswering, BertConfig(**SIZES), "bert.encoder.layer"),
    "roberta": (RobertaForQuestionAnswering, RobertaConfig(**SIZES), "roberta.encoder.layer"),
    "distilbert": (
        DistilBertForQuestionAnswering,
        DistilBertConfig(vocab_size=40, dim=16, hidden_dim=32, n_heads=2, n_layers=5),
        "distilbert.transformer.layer",
    ),
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES, tie_word_embeddings=False), "model.layers"),
    "tied": (LlamaForCausalLM, LlamaConfig(**SIZES, tie_word_embeddings=True), "model.layers"),
}


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_the_layers_that_stay(name):
    kind, config, where = MODELS[name]
    torch.manual_seed(0)
    model = kind(config).eval()
    by_hand = copy.deepcopy(model)
    parent, _, last = where.rpartition(".")
    layers = by_hand.get_submodule(where)
    setattr(by_hand.get_submodule(parent), last, nn.ModuleList([layers[i] for i in (0, 2, 4)]))
    state = torch.get_rng_state()
    small = keep_layers(model, {"": (0, 2, 4)})
    assert torch.equal(state, torch.get_rng_state())
    ids = torch.randint(5, 40, (3, 7))
    with torch.no_grad():
        for ours, theirs in zip(
            small(ids, use_cache=False).values(), by_hand(ids, use_cache=False).values(), strict=True
        ):
            assert torch.equal(ours, theirs)
    assert small.config.num_hidden_layers == 3
    assert model.config.num_hidden_layers == 5, "the config of the model that was read is its own"
    if name == "llama":
        assert small(ids, use_cache=True).past_key_values.get_seq_length() == 7


@pytest.mark.parametrize(
    ("kind", "keep", "stack"),
    [
        ("bart", {"encoder": (0, 1), "decoder": (1,)}, "model.decoder.layers"),
        ("bart", {"encoder": (1,), "decoder": (0, 1)}, "model.encoder.layers"),
        ("t5", {"encoder": (0, 1), "decoder": (0,)}, "decoder.block"),
    ],
)
def test_of_two_stacks_each_keeps_its_own(kind, keep, stack):
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(config_of(kind)).eval()
    small = keep_layers(model, keep)
    parent, _, last = stack.rpartition(".")
    kept = keep[next(word for word in keep if word in stack)]
    layers = model.get_submodule(stack)
    setattr(model.get_submodule(parent), last, nn.ModuleList([layers[i] for i in kept]))
    ids = torch.randint(5, 40, (3, 7))
    ours, theirs = (m(input_ids=ids, decoder_input_ids=ids, use_cache=False).logits for m in (small, model))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("kind", "keep", "why"),
    [
        ("t5", {"encoder": (0, 1), "decoder": (1,)}, "has_relative_attention_bias` is False, and would be True"),
        ("diffllama", {"": (1,)}, "lambda_init` is 0.3"),  # computed of the number of the layer
        ("deepseek_v3", {"": (1,)}, "would be DeepseekV3MLP, not DeepseekV3MoE"),
        ("esm", {"": (0,)}, "contact_head"),  # reads the attention of all layers
        ("xlstm", {"": (0,)}, "Missing key"),  # counts its layers by another name
    ],
)
def test_layers_that_would_compute_something_else_in_their_new_places_are_refused(kind, keep, why):
    model = getattr(transformers, TASKS[heads()[kind][0]]).from_config(config_of(kind))
    with pytest.raises(RecipeError, match=f"E200(.|\n)*{why}"):
        keep_layers(model, keep)
