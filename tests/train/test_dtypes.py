"""Weights of 16 bits stay what they are; what saves memory or time changes no weight."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import recipelang
from recipelang.engine import stages
from recipelang.engine.records import Interrupted
from tests.cli.command import command
from tests.decoders import make_decoder, make_text

from .steps import StopAt, run, same, weights

SHOT = """recipe 1 "shot"
model { base = "model", task = causal_lm, dtype = DTYPE }
data { train = "train.jsonl", validation = "dev.jsonl", max_length = 16 tokens, samples = 8 samples }
stage cut {
  mode = one_shot
  prune weights { targets = @linear & @decoder, never = @embeddings | @head, method = METHOD, sparsity = 50% }
}
evaluate dev { metrics = [perplexity] }
expect sparsity(@linear & @decoder) == 50%
"""
METHODS = (
    "magnitude",
    "wanda",
    "sparsegpt(block = 16)",
    "snip(batches = 2)",
    "obert(block = 8, gradients = 4, batch = 4)",
)


def stored_in(folder: Path, dtype: torch.dtype) -> None:
    path = folder / "model.safetensors"
    save_file({n: t.to(dtype) for n, t in load_file(path).items()}, path, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8")) | {"dtype": str(dtype).removeprefix("torch.")}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


@pytest.fixture
def decoder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_decoder(tmp_path / "model", layers=2)
    make_text(tmp_path / "train.jsonl", 40)
    make_text(tmp_path / "dev.jsonl", 10, seed=1)

    def write(method: str, dtype: str) -> Path:
        (tmp_path / "a.recipe").write_text(SHOT.replace("METHOD", method).replace("DTYPE", dtype), "utf-8")
        return tmp_path / "a.recipe"

    return write


@pytest.mark.filterwarnings("ignore::recipelang.loops.notices.RecipeWarning")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16], ids=str)
def test_one_shot_keeps_the_dtype_and_every_weight_that_stays(decoder, tmp_path, method, stored):
    stored_in(tmp_path / "model", stored)
    before = load_file(tmp_path / "model" / "model.safetensors")
    result = recipelang.run(decoder(method, "auto"), out=tmp_path / "out")
    after = weights(tmp_path / "out")
    assert {t.dtype for t in after.values()} == {stored}
    assert json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["dtype"] == str(stored)[6:]
    pruned = [n for n in after if not torch.equal(before[n], after[n])]
    assert len(pruned) == 14
    assert sum(int((after[n] == 0).sum()) for n in pruned) == sum(after[n].numel() // 2 for n in pruned)
    for name in pruned:
        if method.startswith(("magnitude", "wanda", "snip")):  # the others also correct what stays
            assert torch.equal(after[name], before[name] * (after[name] != 0))
    assert math.isfinite(result.metrics["dev.perplexity"])


@pytest.mark.filterwarnings("ignore::recipelang.loops.notices.RecipeWarning")
def test_a_run_in_bf16_is_verified_and_a_converted_one_is_refused(decoder, tmp_path):
    stored_in(tmp_path / "model", torch.bfloat16)
    recipelang.run(decoder("magnitude", "auto"), out=tmp_path / "out")
    assert command("verify", "out").code == 0
    stored_in(tmp_path / "out", torch.float16)
    assert "E138" in command("verify", "out").err


@pytest.mark.filterwarnings("ignore::recipelang.loops.notices.RecipeWarning")
def test_auto_is_fp32_for_a_model_of_fp32(decoder, tmp_path):
    recipelang.run(decoder("wanda", "auto"), out=tmp_path / "auto")
    recipelang.run(decoder("wanda", "fp32"), out=tmp_path / "fp32")
    assert same(weights(tmp_path / "auto"), weights(tmp_path / "fp32"))


def bf16(project, more: str = "") -> Path:
    return project(replace=('base = "model"', f'base = "model", dtype = bf16{more}'))


def test_training_in_bf16_is_exact_and_resumes_bit_for_bit(project, tmp_path):
    recipe = bf16(project)
    assert not run(recipe, tmp_path / "whole").failed
    whole = weights(tmp_path / "whole")
    assert {t.dtype for t in whole.values()} == {torch.bfloat16}
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(14))
    run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), whole)


@pytest.mark.parametrize("teacher", [False, True], ids=["plain", "distilled"])
def test_recomputed_activations_give_the_same_weights(project, tmp_path, monkeypatch, teacher):
    """Dropout included: the second time a layer drops what it dropped the first time."""
    seen = []
    real = stages.train

    def look(stage, state, *rest, **more):
        seen.append(any(getattr(m, "gradient_checkpointing", False) for m in state.model.modules()))
        real(stage, state, *rest, **more)

    monkeypatch.setattr(stages, "train", look)
    recipe = project(
        replace=("", "") if teacher else ("  distill { teacher = stage.dense, hardness = 80%, temperature = 2 }\n", "")
    )
    run(recipe, tmp_path / "kept")
    text = recipe.read_text("utf-8")
    recipe.write_text(text.replace("learning_rate", "activation_checkpointing = true\n  learning_rate"), "utf-8")
    run(recipe, tmp_path / "again")
    assert seen == [False, False, True, True]
    assert same(weights(tmp_path / "again"), weights(tmp_path / "kept"))


def test_tf32_is_set_for_its_stage_alone_and_nothing_on_a_cpu(project, tmp_path, monkeypatch):
    seen = []
    real = stages.train

    def look(stage, *rest, **more):
        seen.append(torch.get_float32_matmul_precision())
        real(stage, *rest, **more)

    monkeypatch.setattr(stages, "train", look)
    run(project(), tmp_path / "fp32")
    before = torch.get_float32_matmul_precision()
    run(project(replace=("one_of(fp32, bf16) = fp32", "one_of(fp32, tf32) = tf32")), tmp_path / "tf32")
    assert seen == [before, before, "high", "high"]
    assert torch.get_float32_matmul_precision() == before
    assert same(weights(tmp_path / "tf32"), weights(tmp_path / "fp32"))


def test_attention_is_the_one_that_is_named(project, tmp_path, monkeypatch):
    seen = []
    real = stages.train

    def look(stage, state, *rest, **more):
        seen.append(state.model.config._attn_implementation)
        real(stage, state, *rest, **more)

    monkeypatch.setattr(stages, "train", look)
    run(project(replace=('base = "model"', 'base = "model", attention = eager')), tmp_path / "out")
    assert seen == ["eager", "eager"]
