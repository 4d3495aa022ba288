"""One-shot pruning from a recipe: what a layer is judged by is what it really sees, and nothing else changes."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForQuestionAnswering

from recipelang.engine.layers import Layers
from recipelang.engine.models import leave_out_cache, quiet
from recipelang.engine.records import Interrupted, Reporter
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.pruning.inputs import Gram, Squares
from recipelang.tasks import causal_lm, question_answering
from tests.cli.command import command
from tests.decoders import make_decoder, make_text

from .steps import run, same, weights

RECIPE = """recipe 1 "shot"

param method: one_of(magnitude, random, wanda, sparsegpt, alps, obert) = sparsegpt
param share: ratio in 0%..100% = 50%

model { base = "model", task = causal_lm }
data { train = "train.jsonl", validation = "dev.jsonl", max_length = 32 tokens }
data some { train = "train.jsonl", max_length = 32 tokens, samples = 12 samples }

stage dense {
  length = 30 steps
  batch = 8
  learning_rate = linear(1e-2 -> 1e-3, over = start..end)
}

stage cut {
  mode = one_shot
  data = some
  prune weights {
    targets = @linear & @decoder
    never = @embeddings | @head
    method = if method == sparsegpt then sparsegpt(block = 16) else if method == wanda then wanda else if method == alps then alps else if method == magnitude then magnitude else if method == random then random else obert(block = 8, gradients = 4, batch = 4, scope = uniform)
    sparsity = share
  }
}

evaluate dev { metrics = [perplexity], compare = dense }

expect sparsity(@linear & @decoder) == share
expect dev.perplexity >= stage.dense.dev.perplexity
expect dev.perplexity <= dev.dense.perplexity
"""


@pytest.fixture
def decoder(tmp_path, monkeypatch):
    """A folder with a tiny decoder, text and `shot.recipe`; call it with changes to the recipe."""
    monkeypatch.chdir(tmp_path)
    make_decoder(tmp_path / "model")
    make_text(tmp_path / "train.jsonl", 120)
    make_text(tmp_path / "dev.jsonl", 40, seed=1)

    def write(*replace: tuple[str, str]):
        text = RECIPE
        for old, new in replace:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "shot.recipe").write_text(text, "utf-8")
        return tmp_path / "shot.recipe"

    return write


# ---------------------------------------------------------------------------- layers
def blocks(folder, samples=5):
    examples = causal_lm.TASK.open_split(str(folder / "train.jsonl"), "train")
    return causal_lm.featurize(examples, causal_lm.load_tokenizer(folder / "model"), 16, 0).some(samples, 3)


def layers_of(model, features, labels=causal_lm.TASK.labels, batch=2):
    return Layers(model, features, labels, batch, nullcontext, lambda done, of: None)


def load(folder, auto=AutoModelForCausalLM):
    with quiet():
        model = auto.from_pretrained(folder / "model").eval()
    leave_out_cache(model)
    return model


def seen_by(model, names, features, labels):
    """Σ x xᵀ of every target in plain passes through the whole model, one item at a time, without padding."""
    sums = dict.fromkeys(names, 0.0)

    def look(name):
        def hook(module, args):
            x = args[0].detach().double().flatten(0, -2)
            sums[name] = sums[name] + x.T @ x

        return hook

    handles = [model.get_submodule(n.removesuffix(".weight")).register_forward_pre_hook(look(n)) for n in names]
    for row in range(len(features)):
        length = int(features.lengths[row])
        batch = {k: torch.from_numpy(v)[:, :length] for k, v in features.batch([row]).items() if k not in labels}
        with torch.no_grad():
            model(**batch)
    for handle in handles:
        handle.remove()
    return sums


def matrices(model, part):
    return [n for n, p in model.named_parameters() if part in n and p.dim() == 2]


def test_inputs_are_those_of_the_whole_model_with_padding_left_out(tiny):
    model = load(tiny, AutoModelForQuestionAnswering)
    examples = question_answering.read_file(tiny / "train.json")[:7]
    features = question_answering.featurize(examples, question_answering.load_tokenizer(tiny / "model"), 32, 8)
    names = matrices(model, "encoder.layer")
    labels = question_answering.TASK.labels
    assert len(set(features.lengths.tolist())) > 1
    found = {n: g for part in layers_of(model, features, labels, 3)(names, Gram, "parallel") for n, g in part.items()}
    for name, wanted in seen_by(model, names, features, labels).items():
        torch.testing.assert_close(found[name].sums.double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_later_layer_sees_what_pruned_ones_give_it(decoder, tmp_path, batch):
    """The sequential order, layer by layer, is the whole model run again after every layer."""
    decoder()
    model, features = load(tmp_path), blocks(tmp_path)
    names = matrices(model, "layers.")
    parameters = dict(model.named_parameters())
    visited = []
    for inputs in layers_of(model, features, batch=batch)(names, Squares, "sequential"):
        for name, wanted in seen_by(model, list(inputs), features, causal_lm.TASK.labels).items():
            torch.testing.assert_close(inputs[name].sums, wanted.diagonal(), rtol=1e-4, atol=1e-4)
        visited.append([n.split("layers.")[1] for n in inputs])
        for name in inputs:
            parameters[name].data.mul_(torch.rand_like(parameters[name]) < 0.5)
    assert [{n[0] for n in names} for names in visited] == [{"0"}, {"1"}, {"2"}]
    assert [len(names) for names in visited] == [7, 7, 7]


def test_the_parallel_order_judges_the_dense_model(decoder, tmp_path):
    decoder()
    model, features = load(tmp_path), blocks(tmp_path)
    names = matrices(model, "layers.")
    wanted = seen_by(model, names, features, causal_lm.TASK.labels)
    parameters = dict(model.named_parameters())
    for inputs in layers_of(model, features)(names, Squares, "parallel"):
        for name, gathered in inputs.items():
            torch.testing.assert_close(gathered.sums, wanted[name].diagonal(), rtol=1e-4, atol=1e-4)
            parameters[name].data.zero_()


def test_matrices_that_read_the_same_share_one_sum(decoder, tmp_path):
    decoder()
    model = load(tmp_path)
    (first, *_) = layers_of(model, blocks(tmp_path))(matrices(model, "layers."), Gram, "parallel")
    assert len({id(g) for g in first.values()}) == 4  # q k v, o, gate up, down
    assert {g.tokens for g in first.values()} == {5 * 16}


def test_a_layer_without_targets_is_passed_through_and_nothing_is_left_behind(decoder, tmp_path):
    decoder()
    model, features = load(tmp_path).train(), blocks(tmp_path)
    names = [n for n in matrices(model, "layers.") if ".1.mlp" in n]
    before = [tuple(m._forward_pre_hooks) for m in model.modules()]
    (inputs,) = layers_of(model, features)(names, Squares, "sequential")
    for name, wanted in seen_by(model.eval(), names, features, causal_lm.TASK.labels).items():
        torch.testing.assert_close(inputs[name].sums, wanted.diagonal(), rtol=1e-4, atol=1e-4)
    assert before == [tuple(m._forward_pre_hooks) for m in model.modules()]
    assert model.config.use_cache


# --------------------------------------------------------------------------- recipes
@pytest.mark.parametrize("method", ["magnitude", "random", "wanda", "sparsegpt", "alps", "obert"])
def test_a_trained_decoder_is_pruned_in_one_shot(decoder, tmp_path, method):
    result = run(decoder(), tmp_path / "out", params=(f"method={method}",))
    assert not result.failed and result.gained == {}
    plan = result.plan
    (prune,) = plan.stages[1].prunes
    found = weights(tmp_path / "out")
    assert [int((found[t.name] == 0).sum()) for t in prune.targets] == list(prune.events[0].zeros)
    assert (plan.stages[1].calibration is None) == (method in ("magnitude", "random"))
    assert plan.stages[1].steps == 0 and plan.steps == 30


def test_the_damage_is_in_the_order_published(decoder, tmp_path):
    damage = {}
    for method in ("random", "magnitude", "wanda", "sparsegpt"):
        run(decoder(), tmp_path / method, params=(f"method={method}",))
        damage[method] = read_metrics(tmp_path / method)["dev.perplexity"]
    assert damage["sparsegpt"] < damage["wanda"] < damage["magnitude"] < damage["random"]


def read_metrics(out):
    import json

    return json.loads((out / "run.json").read_text("utf-8"))["metrics"]


def test_nothing_pruned_changes_nothing(decoder, tmp_path):
    run(decoder(), tmp_path / "out", params=("share=0%",))
    metrics = read_metrics(tmp_path / "out")
    assert metrics["dev.perplexity"] == metrics["stage.dense.dev.perplexity"] < metrics["dev.dense.perplexity"]


def test_zeros_stay_in_a_stage_that_trains_afterwards(decoder, tmp_path):
    tune = "stage tune { length = 6 steps, batch = 8, learning_rate = 1e-3 }\n\nevaluate dev"
    recipe = decoder(("evaluate dev", tune), ("expect dev.perplexity >= stage.dense.dev.perplexity\n", ""))
    assert not run(recipe, tmp_path / "out").failed
    metrics = read_metrics(tmp_path / "out")
    assert metrics["dev.perplexity"] < metrics["stage.cut.dev.perplexity"]


def test_a_second_shot_goes_on_from_the_first(decoder, tmp_path):
    more = """stage more {
  mode = one_shot
  data = some
  prune weights { targets = @linear & @decoder, method = sparsegpt(block = 16), sparsity = 70% }
}

evaluate dev"""
    recipe = decoder(("evaluate dev", more), ("== share", "== 70% ± 0.1%"))
    assert not run(recipe, tmp_path / "out").failed


class StopAtLayer(Reporter):
    def __init__(self, layer: int) -> None:
        self.layer = layer

    def layer_pruned(self, stage, done, of) -> None:
        if done == self.layer:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("layer", [0, 2, 3])
def test_interrupted_and_resumed_is_uninterrupted(decoder, tmp_path, layer):
    recipe = decoder()
    run(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAtLayer(layer))
    result = run(recipe, tmp_path / "cut", resume=True)
    assert not result.failed
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert read_metrics(tmp_path / "cut") == read_metrics(tmp_path / "whole")


def test_one_shot_by_magnitude_needs_no_data(decoder, tmp_path):
    recipe = decoder()
    text = 'recipe 1 "bare"\nmodel { base = "model", task = causal_lm }\nstage cut {\n  mode = one_shot\n'
    text += "  prune weights { targets = @linear & @decoder, never = @embeddings | @head, method = magnitude, sparsity = 50% }\n}\n"
    recipe.write_text(text, "utf-8")
    (tmp_path / "train.jsonl").unlink()
    before, after = load_file(tmp_path / "model" / "model.safetensors"), run(recipe, tmp_path / "out")
    for target in after.plan.stages[0].prunes[0].targets:
        w = before[target.name]
        keep = w.abs() > w.abs().flatten().kthvalue(w.numel() // 2).values
        assert torch.equal(weights(tmp_path / "out")[target.name], w * keep)


def test_embeddings_that_are_the_head_too_are_kept_once(decoder, tmp_path):
    recipe = decoder()
    make_decoder(tmp_path / "model", tied=True)
    run(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAtLayer(1))
    run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert "lm_head.weight" not in weights(tmp_path / "cut")


# ------------------------------------------------------------------------ perplexity
def test_perplexity_is_that_of_every_predicted_token(decoder, tmp_path):
    run(decoder(("length = 30 steps", "length = 3 steps")), tmp_path / "out", params=("share=0%",))
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    examples = causal_lm.TASK.open_split(str(tmp_path / "dev.jsonl"), "validation")
    ids = causal_lm.featurize(examples, causal_lm.load_tokenizer(tmp_path / "model"), 32, 0).input_ids
    logs = []
    for row in ids:
        with torch.no_grad():
            logits = model(torch.from_numpy(row[None].astype(np.int64))).logits[0].double().log_softmax(-1)
        logs += [float(logits[i, row[i + 1]]) for i in range(len(row) - 1)]
    metrics = read_metrics(tmp_path / "out")
    assert metrics["dev.perplexity"] == pytest.approx(np.exp(-np.mean(logs)), rel=1e-5)


# ---------------------------------------------------------------------------- screen
def test_plan_tells_what_is_read_and_what_it_takes(decoder, tmp_path):
    decoder()
    shown = command("plan", "shot.recipe")
    assert shown.code == 0
    words = "12 samples of at most 32 tokens, 8 at a time; 3 layers, sequential"
    assert words in " ".join(shown.out.split())
    # q k v together, o, gate and up together: 3 matrices of 32 inputs; down: one of 48. Sums in fp32; a factor in fp64
    # takes their place when its matrix is done, and is beside them all when the first one is
    stage = planned("shot.recipe", read_around([]))[1].stages[1]
    assert stage.calibration.statistics == 4 * (3 * 32 * 32 + 48 * 48) + 8 * 32 * 32
    assert stage.calibration.states == 4 * 12 * 32 * 32


def test_a_run_tells_of_its_layers_and_of_perplexity_as_a_number(decoder, tmp_path):
    decoder()
    shown = command("run", "shot.recipe", "-o", "out")
    assert shown.code == 0, shown.err
    assert "layer 3/3" in shown.out
    assert "dev before training: perplexity " in shown.out
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    value = read_metrics(tmp_path / "out")["dev.perplexity"]
    assert f"| `dev.perplexity` | {value:,.2f} |" in card
