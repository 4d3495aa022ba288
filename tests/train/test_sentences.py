"""A whole run of embeddings that are ranked in their batch: trained, distilled, measured, and left as the base model was."""

import json

import pytest

from tests.conftest import WORDS, make_model

from .steps import Steps, run, weights

RECIPE = """recipe 1 "ranked"
model {{ base = "model", task = sentence_similarity, dropout = 0%, attention_dropout = 0% }}
data {{ train = "train.jsonl", validation = "dev.jsonl", max_length = 16 tokens }}
stage sparse {{
  length = 3 steps, batch = 8, learning_rate = constant(1e-3)
  distill {{ teacher = "model", on = {on}, hardness = {hardness}, temperature = 1 }}
  prune weights {{ targets = @linear & @encoder, never = @embeddings, method = magnitude, sparsity = 50% }}
}}
evaluate dev {{ metrics = [{metric}], compare = dense }}
"""
SENTENCE_FILES = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ],
    "1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
    "sentence_bert_config.json": {"max_seq_length": 16, "do_lower_case": False},
    "config_sentence_transformers.json": {"prompts": {}, "default_prompt_name": None},
}


@pytest.mark.parametrize(("metric", "on"), [("mrr", "embeddings"), ("accuracy", "[logits, hidden(-1)]")])
def test_ranked_embeddings_are_trained_and_the_folder_stays_one_of_sentences(tmp_path, metric, on):
    make_model(tmp_path / "model")
    (tmp_path / "model" / "1_Pooling").mkdir()
    for name, content in SENTENCE_FILES.items():
        (tmp_path / "model" / name).write_text(json.dumps(content), "utf-8")
    for name, first in (("train", 0), ("dev", 3)):
        rows = [
            {"anchor": w, "positive": f"the {w}", "negative": WORDS[-i]} for i, w in enumerate(WORDS[first:], first)
        ]
        kept = ("anchor", "positive", *(("negative",) if metric == "accuracy" else ()))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps({k: r[k] for k in kept}) + "\n" for r in rows))
    losses = []
    for hardness in ("0%", "100%"):
        (tmp_path / "a.recipe").write_text(RECIPE.format(metric=metric, on=on, hardness=hardness), "utf-8")
        seen = Steps()
        result = run(tmp_path / "a.recipe", tmp_path / f"out{hardness}", seen)
        losses.append(seen.losses)
    task, teacher = losses
    assert task[-1] < task[0]  # without a teacher, the texts of the batch are told apart better
    assert all(loss > 0 for loss in teacher)
    measured = result.measurements.metrics
    assert {f"dev.dense.{metric}", f"stage.sparse.dev.{metric}", f"dev.{metric}"} == set(measured)
    assert all(0 < value <= 1 for value in measured.values())
    out = tmp_path / "out100%"
    for name, content in SENTENCE_FILES.items():
        assert json.loads((out / name).read_text("utf-8")) == content
    card = (out / "README.md").read_text("utf-8")
    assert 'library_name: "sentence-transformers"' in card
    assert 'pipeline_tag: "sentence-similarity"' in card
    assert not [name for name in weights(out) if name.startswith(("bert.", "pooler."))]
