"""`attach` on models of any kind: roles of transformers models of every type, modules of all others by name."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

import recipelang
from recipelang import RecipeError
from tests.model_types import config_of
from tests.train.test_attach import net_loop, net_recipe

pytestmark = pytest.mark.filterwarnings("ignore::recipelang.loops.notices.RecipeWarning")


def attached(model, targets, more="", **changes):
    text = net_recipe(targets, more=more, **changes)
    return recipelang.attach(text, model, torch.optim.SGD(model.parameters(), lr=0.1), steps_per_epoch=4)


def chosen(model, targets, more=""):
    """Names of the matrices that a prune block selects, in the model's order, with their shapes as outputs × inputs."""
    (prune,) = attached(model, targets, more).plan.prunes
    return {t.name: t.shape for t in prune.targets}


def short(names, *endings):
    """Whether every name ends with one of these, and each of these ends one."""
    return all(n.endswith(endings) for n in names) and all(any(n.endswith(e) for n in names) for e in endings)


TYPES = {
    "gpt2": "AutoModelForCausalLM",
    "mixtral": "AutoModelForCausalLM",
    "gpt_oss": "AutoModelForCausalLM",
    "dbrx": "AutoModelForCausalLM",
    "granitemoe": "AutoModelForCausalLM",
    "jetmoe": "AutoModelForCausalLM",
    "t5": "AutoModelForSeq2SeqLM",
    "deberta": "AutoModelForSequenceClassification",
    "deberta-v2": "AutoModelForSequenceClassification",
}


@pytest.fixture(scope="module")
def models():
    return {k: getattr(transformers, auto).from_config(config_of(k)) for k, auto in TYPES.items()}


@pytest.mark.parametrize(
    ("kind", "targets", "count", "endings"),
    [
        ("gpt2", "@linear & @decoder", 8, (".c_attn.weight", ".c_proj.weight", ".c_fc.weight")),
        ("gpt2", "@query & @key & @value", 2, (".attn.c_attn.weight",)),
        ("gpt2", "@out", 2, (".attn.c_proj.weight",)),
        ("gpt2", "@down & layers(-1)", 1, ("h.1.mlp.c_proj.weight",)),
        ("gpt2", "@head & @embeddings", 1, ("wte.weight",)),  # one matrix for both
        ("mixtral", "@linear & @attention", 8, ("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight")),
        ("mixtral", "@experts & layers(0)", 2, ("gate_up_proj", "down_proj")),
        ("mixtral", "@router", 2, (".mlp.gate.weight",)),
        ("mixtral", "@head", 1, ("lm_head.weight",)),
        ("granitemoe", "@linear & @ffn", 4, (".experts.gate_up_proj", ".experts.down_proj")),
        ("granitemoe", "@router", 2, (".router.weight",)),
        ("granitemoe", '"**.router.*"', 2, (".router.weight",)),
        ("jetmoe", "@experts & @attention", 4, (".input_linear.weight", ".output_linear.weight")),
        ("jetmoe", "@linear & @attention", 6, ("kv_proj.weight", ".input_linear.weight", ".output_linear.weight")),
        ("jetmoe", "@router & layers(0)", 2, ("mlp.router.layer.weight", "experts.router.layer.weight")),
        ("jetmoe", "@linear & @ffn & layers(0)", 2, (".input_linear.weight", ".output_linear.weight")),
        ("t5", "@linear & @encoder", 12, ("q.weight", "k.weight", "v.weight", "o.weight", "wi.weight", "wo.weight")),
        ("t5", "@linear & @decoder", 20, ("q.weight", "k.weight", "v.weight", "o.weight", "wi.weight", "wo.weight")),
        ("t5", "@query & @decoder & layers(0)", 2, ("layer.0.SelfAttention.q.weight", "layer.1.EncDecAttention.q.weight")),
        ("t5", "@up & @encoder", 2, ("layer.1.DenseReluDense.wi.weight",)),
        ("deberta", "@query & @key & @value", 2, ("self.in_proj.weight",)),
        ("deberta", "@query & layers(0)", 2, ("self.in_proj.weight", "self.pos_q_proj.weight")),
        ("deberta-v2", "@linear & @encoder & @ffn", 4, ("intermediate.dense.weight", "output.dense.weight")),
        ("deberta-v2", "@value", 2, ("self.value_proj.weight",)),
        ("deberta-v2", "@pooler & @linear", 1, ("pooler.dense.weight",)),
        ("deberta-v2", "@head & @linear", 1, ("classifier.weight",)),
    ],
)  # fmt: skip
def test_roles_select_in_a_transformers_model_of_any_type(models, kind, targets, count, endings):
    found = chosen(models[kind], targets)
    assert len(found) == count and short(found, *endings)
    if "@decoder" in targets and kind == "t5":
        assert all(name.startswith("decoder.") for name in found)


def test_shapes_are_outputs_by_inputs_however_they_are_stored(models):
    found = chosen(models["gpt2"], "@linear & layers(0)")
    assert list(found.values()) == [(96, 32), (32, 32), (48, 32), (32, 48)]
    assert list(chosen(models["gpt_oss"], "@experts & layers(0)").values()) == [(4, 96, 32), (4, 32, 48)]
    assert list(chosen(models["dbrx"], "@experts & layers(0)").values()) == [(4, 24, 32), (4, 24, 32), (4, 32, 24)]
    assert set(chosen(transformers.AutoModel.from_config(config_of("gpt2")), "@linear")) == {
        f"h.{i}.{n}.weight" for i in (0, 1) for n in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    }


# ----------------------------------------------------------- models that are not of transformers
class Mine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.Sequential(nn.Linear(16, 16), nn.ReLU()))
        self.rnn = nn.LSTM(16, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(torch.relu(self.rnn(self.encoder(x))[0]))


@pytest.mark.parametrize(
    ("targets", "wanted"),
    [
        ('"encoder.*"', {"encoder.0.weight"}),  # a norm's own are no matrices, and `encoder.2` holds none itself
        ('"encoder.**"', {"encoder.0.weight", "encoder.2.0.weight"}),  # tensors, as ever
        ('"encoder.*.*"', {"encoder.0.weight"}),  # names tensors, so that it names no modules
        ('"encoder.2.*"', {"encoder.2.0.weight"}),
        ('"{head,encoder.0}"', {"head.weight", "encoder.0.weight"}),
        ('"head" | "encoder.0.weight"', {"head.weight", "encoder.0.weight"}),
        ('"*"', {"rnn.weight_ih_l0", "rnn.weight_hh_l0", "head.weight"}),
        ('"rnn"', {"rnn.weight_ih_l0", "rnn.weight_hh_l0"}),
        ('re".*weight" except ("head" | "rnn")', {"encoder.0.weight", "encoder.2.0.weight"}),
    ],
)
def test_a_glob_may_name_modules_of_any_other_model(targets, wanted):
    assert set(chosen(Mine(), targets)) == wanted


def test_what_names_neither_a_tensor_nor_a_module_gets_help():
    for pattern in ('"encodr.*"', '"encoder"', 're"encoder.0"', '"encoder.1"'):
        with pytest.raises(RecipeError, match="E070") as error:
            attached(Mine(), pattern)
        (d,) = error.value.diagnostics
        assert ("only two" if pattern == '"encoder.1"' else "close matches: `encoder.0.weight`") in d.help[0]


def test_modules_of_a_transformers_model_are_named_by_their_tensors(models):
    """So that a recipe means the same for `recipelang run`, whose digests it decides."""
    with pytest.raises(RecipeError, match="E070") as error:
        attached(models["gpt2"], '"transformer.h.0.attn.c_attn"')
    assert "`transformer.h.0.attn.c_attn.weight`" in error.value.diagnostics[0].help[0]


def test_a_module_that_is_protected_or_frozen_is_its_own_tensors():
    with pytest.raises(RecipeError, match=r"E071.*overlap in 1 tensor"):
        chosen(Mine(), 're".*weight", never = "head"')
    net = Mine()
    (freeze,) = attached(net, '"encoder.*"', 'freeze f { targets = "head" }').plan.freezes
    assert set(freeze.targets) == {"head.weight", "head.bias"}


def test_a_loop_prunes_modules_by_name():
    net = Mine()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    pruning = recipelang.attach(net_recipe('"encoder.*" | "rnn"'), net, optimizer, steps_per_epoch=4)
    net_loop(pruning, net, optimizer)
    pruning.end()
    assert pruning.report().tensors == {"encoder.0.weight": 0.5, "rnn.weight_ih_l0": 0.5, "rnn.weight_hh_l0": 0.5}
    assert int((net.encoder[0].weight == 0).sum()) == 48 and int((net.encoder[2][0].weight == 0).sum()) == 0
