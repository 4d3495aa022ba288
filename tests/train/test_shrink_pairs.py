"""`shrink` of models of an encoder and a decoder: heads with their biases, layers of both stacks, whole runs."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

import recipelang
from recipelang.engine.records import Interrupted
from recipelang.engine.shrink import can_shrink, smaller
from recipelang.engine.worth import Read
from recipelang.planning.facts import read_model_facts
from recipelang.planning.shrink import kept_layers, plan_shrink
from recipelang.planning.sliced import inside, left, twins
from recipelang.source import RecipeError
from recipelang.spec.controls import ShrinkSpec
from recipelang.values.composite import Size
from tests.model_configs import walk_here
from tests.model_table import data, tokenizer
from tests.model_types import config_of

from .steps import StopAt, chosen, run, same, weights
from .test_shrink import failed, logits
from .test_shrink_types import Pairs

READ = Read(Pairs(), (), 2, torch.no_grad)
DEEP = {
    "t5": {"num_layers": 4, "num_decoder_layers": 4},
    "bart": {"encoder_layers": 4, "decoder_layers": 4},
}
#: what a layer adds to what it reads, by the ends of names
ADDS = ("SelfAttention.o.weight", "EncDecAttention.o.weight", "DenseReluDense.wo.weight")


def made(folder, monkeypatch, kind, **more):
    walk_here(monkeypatch)
    config = config_of(kind)
    for key, value in {**DEEP.get(kind, {}), **more}.items():
        setattr(config, key, value)
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(config).eval()
    model.save_pretrained(folder / "model")
    return model, read_model_facts(folder / "model", "text_to_text")


def plan_of(facts, **axes):
    spec = ShrinkSpec(name="b", axes=tuple(Size(a, to) for a, to in axes.items()), by="activation")
    return plan_shrink(spec, facts, kept_layers(spec, facts))[0]


def test_layers_of_each_stack_that_change_nothing_go_and_the_one_with_the_biases_stays(tmp_path, monkeypatch):
    model, facts = made(tmp_path, monkeypatch, "t5")
    idle = {"encoder": (1, 3), "decoder": (0, 2)}  # the first layer of a decoder has the biases of all
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            stack, _, rest = name.partition(".block.")
            if rest and int(rest.partition(".")[0]) in idle[stack] and name.endswith(ADDS):
                parameter.zero_()
    plan = plan_of(facts, layers=3)
    assert plan.keep == (0,) and plan.stacks == {"encoder": "encoder.block", "decoder": "decoder.block"}
    can_shrink(model, plan)
    kept = chosen(model, plan, READ)
    assert kept.keep == {"encoder": (0, 2, 3), "decoder": (0, 1, 3)}  # of equal ones the first stay
    small = smaller(model, kept)
    torch.testing.assert_close(logits(small, Pairs()), logits(model, Pairs()))
    small.save_pretrained(tmp_path / "small")
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "small").eval()
    assert torch.equal(logits(again, Pairs()), logits(small, Pairs()))
    assert sum(p.numel() for p in again.parameters()) == plan.parameters[1]


@pytest.mark.parametrize("kind", ["mt5", "mbart", "marian", "pegasus"])
def test_all_axes_at_once_leave_a_model_that_loads(tmp_path, monkeypatch, kind):
    """Positions that follow from the width, and are in no file, too."""
    model, facts = made(tmp_path, monkeypatch, kind)
    plan = plan_of(facts, ffn=32, heads=2, hidden=16, layers=1)
    can_shrink(model, plan)
    small = smaller(model, chosen(model, plan, READ))
    small.save_pretrained(tmp_path / "small")
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "small").eval()
    assert torch.equal(logits(again, Pairs()), logits(small, Pairs()))
    assert sum(p.numel() for p in again.parameters()) == plan.parameters[1]


def test_heads_that_share_biases_are_the_same_in_all_layers_and_those_of_an_encoder_s_states_their_own(
    tmp_path, monkeypatch
):
    model, facts = made(tmp_path, monkeypatch, "t5")
    plan = plan_of(facts, heads=2)
    kept = chosen(model, plan, READ)
    crossed = {f"decoder.block.{i}.cross" for i in range(4)}
    assert {place for _, place in kept.units} == {"encoder.block", "decoder.block", *crossed}
    small = smaller(model, kept)
    for stack in ("encoder", "decoder"):
        name = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        expected = model.get_parameter(name)[:, kept.units["heads", f"{stack}.block"]]
        assert torch.equal(small.get_parameter(name), expected)


def test_decoder_layers_keep_their_own_heads_of_each_attention(tmp_path, monkeypatch):
    model, facts = made(tmp_path, monkeypatch, "bart")
    kept = chosen(model, plan_of(facts, heads=2, hidden=16), READ)
    small = smaller(model, kept)
    hidden = kept.units["hidden", ""]
    for layer in range(4):
        for attention, place in (("self_attn", ""), ("encoder_attn", ".cross")):
            name = f"model.decoder.layers.{layer}.{attention}.q_proj.weight"
            heads = kept.units["heads", f"model.decoder.layers.{layer}{place}"]
            rows = (heads[:, None] * 8 + torch.arange(8)).flatten()
            assert torch.equal(small.get_parameter(name), model.get_parameter(name)[rows][:, hidden])


@pytest.mark.parametrize(
    ("more", "axes", "told"),
    [
        ({"decoder_layers": 2}, {"layers": 1}, "encoder and decoder of a `bart` have different numbers of layers"),
        ({"decoder_attention_heads": 8}, {"heads": 2, "hidden": 16}, "different numbers of heads"),
    ],
)
def test_stacks_that_differ_are_refused(tmp_path, monkeypatch, more, axes, told):
    _, facts = made(tmp_path, monkeypatch, "bart", **more)
    with pytest.raises(RecipeError, match=f"E152.*{told}"):
        plan_of(facts, **axes)


def test_a_layer_of_one_stack_takes_no_place_in_the_other(tmp_path, monkeypatch):
    _, facts = made(tmp_path, monkeypatch, "t5")
    plan = plan_of(facts, layers=2)
    name = "decoder.block.3.layer.2.DenseReluDense.wo.weight"
    assert inside(plan, name) == (3, "layer.2.DenseReluDense.wo.weight")
    assert twins(plan, name) == [name.replace(".3.", f".{i}.", 1) for i in range(4)]
    assert left(plan, [name, name.replace(".3.", ".1."), "shared.weight"]) == [
        name.replace(".3.", ".1."),
        "shared.weight",
    ]


# -------------------------------------------------------------------------- runs
RECIPE = """recipe 1 "pairs"
model { base = "model", task = text_to_text }
data { train = "data.jsonl", validation = "data.jsonl", max_length = 12 tokens }
stage cut {
  mode = one_shot
  prune weights { targets = @ffn & @linear, method = magnitude, sparsity = 50% }
}
STAGE
evaluate dev {}
expect params() < 60% * base.params and sparsity(@ffn & @linear) >= 10%
"""
AXES = "axes = [ffn -> 50%, heads -> 2, hidden -> 16, layers -> 2]"
AT_ONCE = f"""stage slim {{
  mode = one_shot
  shrink body {{ {AXES}, keep = layers(-1) }}
}}
stage recover {{ length = 4 steps, batch = 8, learning_rate = 1e-3 }}"""
IN_ROUNDS = f"""stage slim {{
  length = 6 steps, batch = 8, learning_rate = 1e-3
  shrink body {{ {AXES}, rounds = 2, every = 2 steps }}
}}"""
BUDGET = """stage slim {
  mode = one_shot
  shrink body { axes = [ffn, layers], budget = parameters -> 55% }
}"""


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("stage", [AT_ONCE, IN_ROUNDS, BUDGET], ids=["at once", "in rounds", "to a budget"])
def test_it_is_run_resumed_and_verified(tmp_path, monkeypatch, kind, stage):
    model, _ = made(tmp_path, monkeypatch, kind)
    tokenizer(tmp_path / "model", model.config.vocab_size, False)
    data(tmp_path / "data.jsonl", "text_to_text")
    path = tmp_path / "a.recipe"
    path.write_text(RECIPE.replace("STAGE", stage), "utf-8")
    done = recipelang.run(path, out=tmp_path / "whole")
    assert [v.met for v in done.verdicts] == [True]
    small = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "whole")
    assert sum(p.numel() for p in small.parameters()) == done.plan.parameters()
    assert failed(tmp_path / "whole") == []
    record = json.loads((tmp_path / "whole" / "run.json").read_text("utf-8"))["layers_kept"]
    layers = {name: len(stack) for name, stack in record.items()}
    config = small.config
    counts = [getattr(config, k) for k in DEEP[kind]]
    assert layers == {"slim.body.encoder": counts[0], "slim.body.decoder": counts[1]}
    if stage is AT_ONCE:
        assert all(stack[-1] == 3 for stack in record.values())
    if stage is not BUDGET:
        with pytest.raises(Interrupted):
            run(path, tmp_path / "part", StopAt(3))
        run(path, tmp_path / "part", resume=True)
        assert same(weights(tmp_path / "part"), weights(tmp_path / "whole"))
