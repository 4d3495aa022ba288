"""`shrink` in real runs of tiny models: the units that stay, an ordinary model that computes the same, and its way on."""

import inspect
import json
import re
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForQuestionAnswering

import recipelang
from recipelang.engine.recomputing import recompute
from recipelang.engine.records import Interrupted
from recipelang.engine.worth import Read
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.facts import read_model_facts
from recipelang.planning.shrink import plan_shrink
from recipelang.provenance.checks import Verified
from recipelang.provenance.contents import verify_digests
from recipelang.provenance.recount import verify_weights
from recipelang.spec.controls import ShrinkSpec
from recipelang.values.composite import Size
from tests.conftest import make_inputs
from tests.decoders import make_decoder, make_text
from tests.model_configs import walk_here

from .steps import StopAt, run, same, shrink, weights

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3, "vocab_size": 40}
CLASSES = {"masked_lm": AutoModelForMaskedLM, "causal_lm": AutoModelForCausalLM}
TYPES = {
    "bert": ("masked_lm", SIZES),
    "llama": ("causal_lm", {**SIZES, "num_key_value_heads": 2}),
    "gpt2": ("causal_lm", {"n_embd": 32, "n_head": 4, "n_layer": 3, "vocab_size": 40}),
}


class Rows:
    """Some texts, one of them padded."""

    def __len__(self) -> int:
        return 6

    def batch(self, rows):
        ids = np.random.default_rng(0).integers(4, 40, (6, 8))[rows]
        mask = np.ones_like(ids)
        mask[0, 5:] = 0
        return {"input_ids": ids, "attention_mask": mask}


def made(folder, monkeypatch, kind: str):
    walk_here(monkeypatch)
    task, config = TYPES[kind]
    torch.manual_seed(0)
    model = CLASSES[task].from_config(AutoConfig.for_model(kind, **config)).eval()
    model.save_pretrained(folder)
    return model, read_model_facts(folder, task)


def plan_of(facts, by="activation", **axes):
    sizes = tuple(Size(axis, to) for axis, to in axes.items())
    return plan_shrink(ShrinkSpec(name="b", axes=sizes, by=by), facts, ())[0]


READ = Read(Rows(), (), 2, torch.no_grad)


@torch.no_grad()
def logits(model, rows=None) -> torch.Tensor:
    named = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}  # as in runs
    return model(**named, **{k: torch.from_numpy(v) for k, v in (rows or Rows()).batch(np.arange(6)).items()}).logits


@torch.no_grad()
def silence(model, name: str, units: list[int], width: int = 1) -> None:
    """What some units of a block put out counts no more."""
    weight = model.get_parameter(name)
    places = [u * width + i for u in units for i in range(width)]
    turned = type(model.get_submodule(name.rpartition(".")[0])).__name__ == "Conv1D"
    (weight.T if turned else weight)[:, places] = 0


def gradients(model):
    """Of some loss, batch by batch."""
    for row in range(6):
        batch = {k: torch.from_numpy(v) for k, v in Rows().batch(np.arange(row, row + 1)).items()}
        with torch.enable_grad():
            model(**batch).logits.square().mean().backward()
        yield
        model.zero_grad()


def test_by_taylor_what_changes_no_loss_goes_first(tmp_path, monkeypatch):
    model, facts = made(tmp_path, monkeypatch, "llama")
    silent = [t.name for t in facts.tensors if {"down", "linear"} <= t.roles]
    for i, name in enumerate(silent):
        silence(model, name, [*range(i % 2, 64, 2)])
    read = Read(Rows(), (), 2, torch.no_grad, lambda: gradients(model))
    small, _ = shrink(model, plan_of(facts, by="taylor", ffn=32), read)
    for layer, whole in enumerate(model.model.layers):
        kept = small.model.layers[layer].mlp.down_proj.weight
        stays = [j for j in range(64) if (j - layer) % 2]
        assert torch.equal(kept, whole.mlp.down_proj.weight[:, stays]), layer


@pytest.mark.parametrize("kind", TYPES)
def test_without_neurons_that_add_nothing_it_computes_the_same(tmp_path, monkeypatch, kind):
    model, facts = made(tmp_path, monkeypatch, kind)
    behind = [t.name for t in facts.tensors if {"down", "linear"} <= t.roles]
    inputs = facts.config.get("n_inner") or model.get_parameter(behind[0]).numel() // 32
    rng = np.random.default_rng(1)
    for name in behind:
        silence(model, name, rng.choice(inputs, inputs // 2, replace=False).tolist())
    small, layers = shrink(model, plan_of(facts, ffn=Fraction(1, 2)), READ)
    assert layers == (0, 1, 2)
    torch.testing.assert_close(logits(small), logits(model))
    small.save_pretrained(tmp_path / "small")
    assert torch.equal(logits(type(small).from_pretrained(tmp_path / "small").eval()), logits(small))


def test_heads_of_each_group_that_add_nothing_go(tmp_path, monkeypatch):
    model, facts = made(tmp_path, monkeypatch, "llama")
    for layer, heads in enumerate([[0, 2], [1, 3], [0, 3]]):  # one of either group
        silence(model, f"model.layers.{layer}.self_attn.o_proj.weight", heads, width=8)
    small, _ = shrink(model, plan_of(facts, heads=2), READ)
    torch.testing.assert_close(logits(small), logits(model))
    assert (small.config.num_attention_heads, small.config.head_dim, small.config.num_key_value_heads) == (2, 8, 2)


def test_padding_is_not_looked_at(tmp_path, monkeypatch):
    model, facts = made(tmp_path, monkeypatch, "bert")
    other = Rows().batch(np.arange(6))
    other["input_ids"][0, 5:] = 3
    rows = Rows()
    rows.batch = lambda rows: {k: v[rows] for k, v in other.items()}
    plan = plan_of(facts, ffn=32)
    one, two = (shrink(model, plan, Read(r, (), 6, torch.no_grad))[0].state_dict() for r in (Rows(), rows))
    assert all(torch.equal(one[n], two[n]) for n in one)


def test_a_layer_that_changes_nothing_goes_first(tmp_path, monkeypatch):
    model, facts = made(tmp_path, monkeypatch, "llama")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".layers.1." in name and name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.zero_()
    small, layers = shrink(model, plan_of(facts, layers=2), READ)
    assert layers == (0, 2)
    torch.testing.assert_close(logits(small), logits(model))


def test_layers_that_have_recomputed_their_activations_take_other_places(tmp_path, monkeypatch):
    model, facts = made(tmp_path, monkeypatch, "bert")
    recompute(model, True)
    recompute(model, False)
    assert len(shrink(model, plan_of(facts, layers=2), READ)[1]) == 2


def test_hidden_units_that_are_always_zero_go(tmp_path, monkeypatch):
    model, facts = made(tmp_path, monkeypatch, "llama")
    dead = torch.arange(0, 32, 2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter[dead] = 0
            elif "embed" in name:
                parameter[:, dead] = 0
    small, _ = shrink(model, plan_of(facts, hidden=16), READ)
    assert torch.equal(small.model.embed_tokens.weight, model.model.embed_tokens.weight[:, 1::2])
    assert (small.config.hidden_size, small.config.head_dim) == (16, 8)


def test_by_magnitude_of_equal_units_the_first_stay(tmp_path, monkeypatch):
    model, facts = made(tmp_path, monkeypatch, "bert")
    with torch.no_grad():
        for layer in model.bert.encoder.layer:
            layer.intermediate.dense.weight.fill_(1)
            layer.intermediate.dense.bias.copy_(torch.arange(64))
            layer.output.dense.weight.fill_(1)
    small, _ = shrink(model, plan_of(facts, by="magnitude", ffn=16), None)
    assert small.bert.encoder.layer[0].intermediate.dense.bias.tolist() == [*range(48, 64)]
    with torch.no_grad():
        for layer in model.bert.encoder.layer:
            layer.intermediate.dense.bias.copy_(torch.arange(64) % 2)
    small, _ = shrink(model, plan_of(facts, by="magnitude", ffn=40), None)
    assert small.bert.encoder.layer[0].intermediate.dense.bias.tolist() == [*([0, 1] * 8), *([1] * 24)]


# -------------------------------------------------------------------------- runs
RECIPE = """recipe 1 "slim"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
stage dense {
  length = 1 epoch, batch = 8, learning_rate = linear(1e-2 -> 0, over = start..end)
}
stage slim {
  mode = one_shot
  shrink body {
    axes = [ffn -> 50%, heads -> 1, hidden -> 16, layers -> 2]
    keep = layers(-1)
  }
}
stage sparse {
  length = 1 epoch, batch = 8, learning_rate = linear(1e-2 -> 0, over = start..end)
  distill { teacher = stage.dense, on = [logits, hidden(1 -> 3)], hardness = 50%, temperature = 2 }
  prune weights {
    targets = @linear & @encoder
    never = @embeddings | @head
    method = magnitude
    sparsity = cubic(0% -> 50%, over = 10%..80%, every = 3 steps)
  }
}
evaluate dev { metrics = [f1], compare = dense }
expect sparsity(@linear & @encoder) == 50% ± 1%
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = make_inputs(tmp_path_factory.mktemp("slim"), layers=4)
    (where / "a.recipe").write_text(RECIPE, "utf-8")
    return where


@pytest.fixture(scope="module")
def done(folder):
    recipelang.run(folder / "a.recipe", out=folder / "out")
    return folder / "out"


def failed(out) -> list[str]:
    done = Verified()
    said = verify_digests(out, done)
    if said is not None:
        verify_weights(out, said, done)
    return [c.what for c in done.checks if c.outcome == "failed"]


def test_what_comes_out_is_an_ordinary_model_and_the_record_says_what_it_is_of(folder, done):
    model = AutoModelForQuestionAnswering.from_pretrained(done)
    config = model.config
    assert (config.hidden_size, config.intermediate_size, config.num_attention_heads) == (16, 32, 1)
    assert config.num_hidden_layers == len(model.bert.encoder.layer) == 2
    record = json.loads((done / "run.json").read_text("utf-8"))
    (kept,) = record["layers_kept"].values()
    assert list(record["layers_kept"]) == ["slim.body"] and len(kept) == 2 and kept[-1] == 3
    assert record["never"]["gained_zeros"] == {}
    assert AutoConfig.from_pretrained(done / "stages" / "dense").hidden_size == 32


def test_verify_measures_it_again(done):
    assert failed(done) == []


@pytest.mark.parametrize("step", [3, 8], ids=["before", "after"])
def test_cut_anywhere_and_resumed_it_has_the_same_bits(folder, done, step):
    out = folder / f"cut-{step}"
    with pytest.raises(Interrupted):
        run(folder / "a.recipe", out, StopAt(step))
    run(folder / "a.recipe", out, resume=True)
    assert same(weights(out), weights(done))


def test_a_damaged_checkpoint_of_the_smaller_model_gives_way_to_one_of_the_larger(folder, done):
    out = folder / "damaged"
    with pytest.raises(Interrupted):
        run(folder / "a.recipe", out, StopAt(8))
    for path in (out / "checkpoints").glob("stage-0[12]-*"):
        (path / "model.safetensors").write_bytes(b"")
    run(folder / "a.recipe", out, resume=True)
    assert same(weights(out), weights(done))


def test_a_stage_folder_of_another_width_is_found(folder, done, tmp_path):
    shutil.copytree(done, tmp_path / "out")
    path = tmp_path / "out" / "stages" / "dense" / "config.json"
    path.write_text(path.read_text("utf-8").replace('"intermediate_size": 64', '"intermediate_size": 32'), "utf-8")
    assert failed(tmp_path / "out") == ["files", "stages", "stages"]


def test_what_was_zero_before_is_no_gain(folder, done):
    before = load_file(folder / "model" / "model.safetensors")
    assert int((before["bert.embeddings.word_embeddings.weight"] == 0).sum()) > 0, "the row of padding"
    assert json.loads((done / "run.json").read_text("utf-8"))["never"]["gained_zeros"] == {}


def test_a_budget_is_run_resumed_and_verified_with_the_sizes_that_it_came_to(folder):
    text = RECIPE.replace(
        "axes = [ffn -> 50%, heads -> 1, hidden -> 16, layers -> 2]", "axes = [ffn, layers], budget = parameters -> 75%"
    )
    (folder / "budget.recipe").write_text(text.replace("hidden(1 -> 3)", "hidden(1 -> 2)"), "utf-8")
    recipelang.run(folder / "budget.recipe", out=folder / "whole")
    kept = (folder / "whole" / "recipe" / "effective.recipe").read_text("utf-8")
    sizes = [int(n) for n in re.search(r"chosen = \[ffn -> (\d+), layers -> (\d)\]", kept).groups()]
    config = AutoConfig.from_pretrained(folder / "whole")
    assert [config.intermediate_size, config.num_hidden_layers] == sizes
    assert failed(folder / "whole") == []
    with pytest.raises(Interrupted):
        run(folder / "budget.recipe", folder / "part", StopAt(8))
    run(folder / "budget.recipe", folder / "part", resume=True)
    assert same(weights(folder / "part"), weights(folder / "whole"))
    recipelang.run(folder / "whole" / "recipe" / "effective.recipe", out=folder / "again")
    assert same(weights(folder / "again"), weights(folder / "whole"))
    plans = [json.loads((folder / out / "recipe" / "plan.json").read_text("utf-8")) for out in ("whole", "again")]
    assert plans[0]["spec_digest"] == plans[1]["spec_digest"]
    path = folder / "again" / "recipe" / "portable.recipe"
    path.write_text(path.read_text("utf-8").replace(f"ffn -> {sizes[0]}", "ffn -> 16"), "utf-8")
    assert {"files", "plan"} <= {*failed(folder / "again")}


PAGE = (Path(__file__).parents[2] / "docs" / "shrink.md").read_text("utf-8")


def test_the_recipe_of_the_page_is_planned_without_advice(folder):
    (text,) = re.findall(r"^```\n(recipe 1 .*?)^```", PAGE, re.S | re.M)
    (folder / "page.recipe").write_text(text, "utf-8")
    _, plan, _ = planned(str(folder / "page.recipe"), read_around([]))
    assert plan.stages[1].calibration.samples == 32
    assert [s.axis for s in plan.stages[1].shrinks[0].sizes] == ["ffn", "layers"]


def test_a_tied_model_is_shrunk_and_stays_tied(tmp_path):
    """Looked at without weights before the run, too."""
    make_decoder(tmp_path / "model", tied=True)
    make_text(tmp_path / "train.jsonl", 60)
    make_text(tmp_path / "dev.jsonl", 20, seed=1)
    (tmp_path / "a.recipe").write_text(TIED, "utf-8")
    recipelang.run(tmp_path / "a.recipe", out=tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.lm_head.weight is model.model.embed_tokens.weight and model.config.hidden_size == 16
    assert "lm_head.weight" not in weights(tmp_path / "out")
    assert failed(tmp_path / "out") == []


TIED = """recipe 1 "tied"
model { base = "model", task = causal_lm }
data { train = "train.jsonl", validation = "dev.jsonl", max_length = 16 tokens, samples = 12 samples }
stage slim {
  mode = one_shot
  shrink body { axes = [hidden -> 16, ffn -> 50%, layers -> 2] }
}
evaluate dev { metrics = [perplexity] }
"""
