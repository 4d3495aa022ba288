"""Chats in whole runs: pruned in one shot on them, recovered with a teacher, resumed, cut into parts, measured."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipelang.cli.commands.run import _changed
from recipelang.engine.models import quiet
from recipelang.engine.records import Interrupted
from recipelang.loading.plan import planned
from tests.decoders import MARKED, make_chats, make_instruct

from .steps import Steps, StopAt, run, same, weights

RECIPE = """recipe 1 "chat"

param micro: int = 8
param hardness: ratio in 0%..100% = 50%

model { base = "model", task = causal_lm }
data { train = "train.jsonl", validation = "dev.jsonl", max_length = 48 tokens }

stage cut {
  mode = one_shot
  prune weights {
    targets = @linear & @decoder
    never = @embeddings | @head
    method = wanda
    sparsity = 50%
  }
}

stage recover {
  length = 6 steps
  batch = 8
  micro_batch = micro
  learning_rate = linear(1e-2 -> 1e-3, over = start..end)
  distill { teacher = "model", hardness = hardness, temperature = 2 }
}

evaluate dev { metrics = [perplexity], compare = dense }
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_instruct(tmp_path / "model", MARKED)
    make_chats(tmp_path / "train.jsonl", 8)
    make_chats(tmp_path / "dev.jsonl", 5, seed=1)
    (tmp_path / "chat.recipe").write_text(RECIPE, "utf-8")
    return tmp_path / "chat.recipe"


def losses_by_hand(folder, name):
    """Of every token of an answer, one chat at a time, by transformers' own tokenizer and marks."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder / "model").eval()
    found = []
    for line in (folder / name).read_text("utf-8").splitlines():
        told = tokenizer.apply_chat_template(
            json.loads(line)["messages"], return_dict=True, return_assistant_tokens_mask=True
        )
        ids, asked = torch.tensor([told["input_ids"][:48]]), torch.tensor(told["assistant_masks"][1:48]).bool()
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, :-1]
        found.append(F.cross_entropy(logits[asked], ids[0, 1:][asked], reduction="none"))
    return torch.cat(found)


def test_loss_and_perplexity_are_those_of_answers(recipe, tmp_path):
    text = RECIPE.replace("sparsity = 50%", "sparsity = 0%").replace("6 steps", "1 steps")
    recipe.write_text(text, "utf-8")
    seen = Steps()
    result = run(recipe, tmp_path / "out", seen, params=("hardness=0%", "micro=2"))
    assert seen.losses == pytest.approx([float(losses_by_hand(tmp_path, "train.jsonl").mean())], rel=1e-5)
    dense = result.measurements.metrics["dev.dense.perplexity"]
    assert dense == pytest.approx(float(losses_by_hand(tmp_path, "dev.jsonl").mean().exp()), rel=1e-5)
    assert (tmp_path / "out" / "tokenizer_config.json").read_bytes() == (
        tmp_path / "model" / "tokenizer_config.json"
    ).read_bytes()


def test_recovery_resumes_bit_for_bit_and_does_not_depend_on_its_parts(recipe, tmp_path):
    seen, parts = Steps(), Steps()
    whole = run(recipe, tmp_path / "whole", seen)
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(3))
    resumed = run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert resumed.measurements.metrics == whole.measurements.metrics
    run(recipe, tmp_path / "parts", parts, params=("micro=2",))
    assert parts.losses == pytest.approx(seen.losses, rel=1e-3)


def test_a_resumed_run_looks_at_its_teacher_and_its_template_and_not_at_their_paths(recipe, tmp_path):
    """`effective.recipe` in the folder of a run names every file by its whole path."""
    _, before, _ = planned("chat.recipe")
    recipe.write_text(RECIPE.replace('"model"', f'"{tmp_path / "model"}"'), "utf-8")
    _, now, _ = planned("chat.recipe")
    assert before.stages[1].distills[0].teacher_ref != now.stages[1].distills[0].teacher_ref
    assert _changed(before, now) == []
    (tmp_path / "model" / "chat_template.jinja").write_text(MARKED + " ", "utf-8")
    assert _changed(before, planned("chat.recipe")[1]) == [f"the chat template of the model `{tmp_path / 'model'}`"]
