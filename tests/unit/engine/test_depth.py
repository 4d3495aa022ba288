"""Models that lose layers: the same numbers as leaving the layers out by hand."""

import copy

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaForQuestionAnswering,
)

from recipelang.engine.depth import keep_layers

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
    small = keep_layers(model, (0, 2, 4))
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
