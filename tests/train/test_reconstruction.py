"""`reconstruct` in one-shot runs: layers come nearer to the dense model, zeros stay, and every way gives the same bits."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import recipelang
from recipelang.engine.layers import Layers
from recipelang.engine.records import Interrupted, Reporter
from recipelang.loading.plan import planned
from tests.cli.command import command
from tests.decoders import make_decoder, make_text

from .steps import run, same, weights

RECIPE = """recipe 1 "again"
model {{ base = "model", task = {task}{dtype} }}
# recipe: allow(L080) a test
data {{ train = "{data}", max_length = 32 tokens, samples = 20 samples }}
stage cut {{
  mode = one_shot
  prune weights {{
    targets = @linear & (@decoder | @encoder)
    never = @embeddings | @head
    method = {method}
    sparsity = 60%
    {how}
  }}
}}
"""
AGAIN = "reconstruct = layer(steps = 30, learning_rate = 5e-3)"


@pytest.fixture
def recipe(tmp_path):
    make_decoder(tmp_path / "model")
    make_text(tmp_path / "train.jsonl", 60)

    def write(method: str = "wanda", how: str = AGAIN, dtype: str = "") -> Path:
        path = tmp_path / "again.recipe"
        words = {"task": "causal_lm", "data": "train.jsonl", "method": method, "how": how, "dtype": dtype}
        path.write_text(RECIPE.format(**words), "utf-8")
        return path

    return write


def outputs(folder: Path, batches) -> list[list[torch.Tensor]]:
    """What every layer gives, by whole passes of a model."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    found: list[list[torch.Tensor]] = [[] for _ in model.model.layers]
    for number, layer in enumerate(model.model.layers):
        layer.register_forward_hook(
            lambda module, args, out, n=number: found[n].append(out if isinstance(out, torch.Tensor) else out[0])
        )
    with torch.no_grad():
        for batch in batches:
            model(input_ids=batch)
    return found


@pytest.mark.parametrize("method", ["wanda", "sparsegpt", "alps"])
def test_every_layer_comes_nearer_to_the_dense_model(recipe, tmp_path, monkeypatch, method):
    batches: list[torch.Tensor] = []
    call = Layers.__call__

    def noted(self, *rest):
        batches[:] = [torch.from_numpy(self.features.batch([i])["input_ids"]) for i in range(len(self.features))]
        return call(self, *rest)

    monkeypatch.setattr(Layers, "__call__", noted)
    path = recipe(method)
    recipelang.run(path, out=tmp_path / "out")
    told = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))["reconstructed"]["cut.weights"]
    dense, cut = (outputs(folder, batches) for folder in (tmp_path / "model", tmp_path / "out"))
    assert [*told] == [f"model.layers.{n}" for n in range(3)] and len(batches) == 20
    for number, (before, after) in enumerate(told.values()):
        wrong = sum(float((a - b).square().sum()) for a, b in zip(dense[number], cut[number], strict=True))
        assert after == pytest.approx(wrong / sum(float(a.square().sum()) for a in dense[number]), rel=1e-4)
        assert after < before
    run(recipe(method, ""), tmp_path / "plain")
    plain = outputs(tmp_path / "plain", batches)
    for one, other, wanted in zip(cut, plain, dense, strict=True):  # than without, in the whole model
        assert sum(float((a - b).square().sum()) for a, b in zip(one, wanted, strict=True)) < sum(
            float((a - b).square().sum()) for a, b in zip(other, wanted, strict=True)
        )
    prune = planned(str(path))[1].stages[0].prunes[0]
    found = weights(tmp_path / "out")
    assert tuple(int((found[t.name] == 0).sum()) for t in prune.targets) == prune.events[0].zeros
    old = weights(tmp_path / "model")
    named = {t.name for t in prune.targets}
    assert all(torch.equal(found[n], old[n]) for n in old if n not in named)
    assert command("verify", tmp_path / "out").code == 0


class StopAfter(Reporter):
    def __init__(self, layer: int) -> None:
        self.layer = layer

    def layer_pruned(self, stage, done, of) -> None:
        if done == self.layer:
            os.kill(os.getpid(), signal.SIGTERM)


def test_interrupted_repeated_and_on_disk_it_is_the_same(recipe, tmp_path):
    path = recipe()
    run(path, tmp_path / "one")
    run(path, tmp_path / "two")
    with pytest.raises(Interrupted):
        run(path, tmp_path / "cut", StopAfter(2))
    run(path, tmp_path / "cut", resume=True)
    recipelang.run(path, out=tmp_path / "disk", offload=True)
    for other in ("two", "cut", "disk"):
        assert same(weights(tmp_path / "one"), weights(tmp_path / other)), other


@pytest.mark.parametrize("pattern", ["2:4", "block(2, 4)"])
def test_patterns_hold(recipe, tmp_path, pattern):
    path = recipe("wanda(scope = uniform)", f"{AGAIN}\n    pattern = {pattern}")
    text = path.read_text("utf-8").replace("60%", "50%")
    path.write_text(text + f"\nexpect pattern(@linear & @decoder) == {pattern}\n", "utf-8")
    recipelang.run(path, out=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert [claim["met"] for claim in record["claims"]] == [True]
    assert all(after < before for before, after in record["reconstructed"]["cut.weights"].values())


def test_weights_in_bf16_and_shares_by_layer(recipe, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model").to(torch.bfloat16)
    model.save_pretrained(tmp_path / "model")
    run(recipe("wanda(scope = owl)", dtype=", dtype = auto"), tmp_path / "out")
    told = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert all(after < before for before, after in told["reconstructed"]["cut.weights"].values())
    assert len(told["layer_sparsity"]["cut.weights"]) == 3
    assert weights(tmp_path / "out")["model.layers.0.mlp.up_proj.weight"].dtype == torch.bfloat16


def test_an_encoder_with_padding(project, tmp_path):
    path = project().parent / "again.recipe"
    words = {"task": "question_answering", "data": "train.json", "method": "wanda", "how": AGAIN, "dtype": ""}
    path.write_text(RECIPE.format(**words), "utf-8")
    run(path, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))["reconstructed"]["cut.weights"]
    assert told and all(after < before for before, after in told.values())


def test_the_plan_counts_states_twice_and_the_layer_that_is_trained(recipe, monkeypatch):
    # what is mapped of a file is more than all of this tiny model
    monkeypatch.setattr("recipelang.planning.memory.MAPPED", 0)
    with_it, without = (planned(str(recipe(how=how)))[1] for how in (AGAIN, ""))
    assert with_it.stages[0].calibration.states == 2 * without.stages[0].calibration.states
    assert with_it.peak_memory > without.peak_memory and with_it.offloaded_memory > without.offloaded_memory
    shown = command("plan", recipe()).out
    assert "each layer then trained 30 steps" in " ".join(shown.split())
