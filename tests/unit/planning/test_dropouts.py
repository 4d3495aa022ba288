"""What `dropout` and `attention_dropout` set in the configs of many types, and where a type has none."""

import json

import pytest
import torch
import transformers

from recipelang import check
from recipelang.engine.models import planned_config
from recipelang.engine.walk import positions
from recipelang.planning.dropouts import ATTENTION, HIDDEN, dropouts_fit, fields_of
from recipelang.planning.types import ModelPlan
from tests.model_types import config_of


def configured(folder, kind, task="causal_lm", **more):
    """The config that a run makes of the type's, with a hidden dropout of 0.25 and one of attention of 0.5."""
    config_of(kind).save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **more}), "utf-8")
    plan = ModelPlan(ref="m", path=str(folder), task=task, dropout=0.25, attention_dropout=0.5)
    return planned_config(folder, plan)


@pytest.mark.parametrize(
    ("kind", "hidden", "attention", "kept"),
    [
        ("bert", "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"),
        ("gpt2", "resid_pdrop embd_pdrop", "attn_pdrop", "summary_first_dropout"),
        ("gptj", "resid_pdrop", "attn_pdrop", "embd_pdrop"),  # 0 in the type's own config
        ("gpt_neo", "resid_dropout", "attention_dropout", "embed_dropout"),
        ("gpt_neox", "hidden_dropout", "attention_dropout", "classifier_dropout"),
        ("bloom", "hidden_dropout", "attention_dropout", ""),
        ("falcon", "hidden_dropout", "attention_dropout", ""),
        ("starcoder2", "residual_dropout", "attention_dropout", "embedding_dropout"),
        ("modernbert", "mlp_dropout", "attention_dropout", "classifier_dropout"),
        ("opt", "dropout", "attention_dropout", "layerdrop"),
        ("llama", "", "attention_dropout", ""),
    ],
)
def test_each_type_s_own_fields_are_set(tmp_path, kind, hidden, attention, kept):
    own, made = config_of(kind), configured(tmp_path, kind)
    assert {getattr(made, name) for name in hidden.split()} <= {0.25}
    assert {getattr(made, name) for name in attention.split()} == {0.5}
    assert not kept or getattr(made, kept) == getattr(own, kept)


def test_fields_beside_the_others_are_set_where_they_are_not_0(tmp_path):
    made = configured(tmp_path / "prophetnet", "prophetnet", activation_dropout=0.1)
    assert (made.dropout, made.activation_dropout, made.attention_dropout) == (0.25, 0.25, 0.5)


@pytest.mark.parametrize(
    ("kind", "given", "refused"),
    [
        ("t5", "dropout = 10%", ""),
        ("t5", "attention_dropout = 0%", "model.attention_dropout"),
        ("t5", "attention_dropout = 10%", ""),  # what it has
        ("t5", "dropout = 0%, attention_dropout = 0%", ""),
        ("t5", "dropout = 0%, attention_dropout = 5%", "model.attention_dropout"),
        ("qwen2", "dropout = 0%", ""),
        ("qwen2", "dropout = 10%", "model.dropout"),
        ("llama", "dropout = 10%", "model.dropout"),
        ("llama", "attention_dropout = 10%", ""),
        ("bert", "dropout = 10%, attention_dropout = 20%", ""),
        ("mamba", "dropout = 0%, attention_dropout = 0%", ""),
        ("mamba", "attention_dropout = 10%", "model.attention_dropout"),
        ("mpt", "attention_dropout = 10%", "model.attention_dropout"),  # a whole number in transformers
    ],
)
def test_a_dropout_that_a_type_lacks_is_refused_unless_it_comes_to_the_same(kind, given, refused):
    text = f'recipe 1 "a"\nmodel {{ base = "m", task = causal_lm, {given} }}\ndata {{ train = "t.json" }}\n'
    recipe = check(text + "stage s { length = 1 epoch, batch = 1, learning_rate = 1e-3 }\n").recipe
    config = config_of(kind)
    fields = None if kind in ("bert", "llama") else (fields_of(config, HIDDEN), fields_of(config, ATTENTION))
    found = list(dropouts_fit(recipe, kind, fields))
    assert [d.code for d in found] == ["E198"] * bool(refused)
    assert [d.primary for d in found] == [recipe.label(refused)] * bool(refused)


@pytest.mark.parametrize("kind", ["t5", "longt5"])
def test_distances_have_no_end(kind):
    config = config_of(kind)
    config.n_positions = 512  # as published configs have it
    with torch.device("meta"):
        assert positions(config, transformers.AutoModelForSeq2SeqLM.from_config(config)) is None
