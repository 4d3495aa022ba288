"""Tasks of lm-eval in whole runs: measured with the final weights, in claims, repeated by `verify`, interrupted, resumed."""

from __future__ import annotations

import json
import math
import os
import random
import signal

import pytest
import torch

from recipelang.engine.models import load_model
from recipelang.engine.records import Interrupted, Reporter
from recipelang.loading.plan import planned
from recipelang.loading.read import check_all
from recipelang.provenance.evaluations import evaluate_again
from recipelang.source import RecipeError, Source
from recipelang.tasks.causal_lm import load_tokenizer
from tests.decoders import make_decoder, make_text

from .steps import run

pytest.importorskip("lm_eval", reason="lm-eval is not installed: `pip install 'recipelang[lm-eval]'`")

TASK = """task: toy_choice
dataset_path: json
dataset_kwargs:
  data_files: {test: questions.jsonl}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{question.strip()}}\\nAnswer:"
doc_to_target: "{{answer}}"
doc_to_choice: "{{choices}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
RECIPE = """recipe 1 "harness"
model { base = "model", task = causal_lm }
data { train = "train.jsonl", max_length = 32 tokens, samples = 20 samples }
stage cut {
  length = 4 steps, batch = 4, learning_rate = linear(1e-2 -> 0, over = start..end)
  prune weights { targets = @linear & @decoder, method = magnitude, sparsity = step(0% -> 50%, at = 2 steps) }
}
harness toy { task = "toy.yaml", batch = 4 }
expect harness.toy.acc >= 0%
"""
CHOICES = ["cat", "dog house", "in"]


@pytest.fixture
def recipe(tmp_path):
    make_decoder(tmp_path / "model")
    make_text(tmp_path / "train.jsonl", 60)
    draw = random.Random(0)
    rows = [
        {"question": " ".join(draw.choices(["the", "a", "of", "cat"], k=5)), "choices": CHOICES, "answer": i % 3}
        for i in range(20)
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    (tmp_path / "toy.yaml").write_text(TASK, "utf-8")
    (tmp_path / "a.recipe").write_text(RECIPE, "utf-8")
    return tmp_path / "a.recipe"


def by_hand(recipe, out) -> float:
    """The share of questions whose correct choice has the largest sum of log-likelihoods."""
    plan = planned(str(recipe))[1]
    model = load_model(out, plan.model, plan.seed).eval()
    read = load_tokenizer(recipe.parent / "model").tokenizer
    right = 0
    rows = [json.loads(line) for line in (recipe.parent / "questions.jsonl").read_text("utf-8").splitlines()]
    for row in rows:
        context, sums = f"Question: {row['question']}\nAnswer:", []
        for choice in CHOICES:
            ids = read.encode(f"{context} {choice}").ids
            start = len(read.encode(context).ids)
            with torch.no_grad():
                scores = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            sums.append(sum(float(scores[i - 1, ids[i]]) for i in range(start, len(ids))))
        right += max(range(3), key=sums.__getitem__) == row["answer"]
    return right / len(rows)


def test_the_accuracy_is_the_one_computed_by_hand_and_is_in_the_record(recipe, tmp_path):
    result = run(recipe, tmp_path / "out")
    (verdict,) = result.verdicts
    assert verdict.met
    record = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert record["metrics"]["harness.toy.acc"] == by_hand(recipe, tmp_path / "out")
    plan = result.plan
    again = evaluate_again(tmp_path / "out", plan, check_all(Source("a", RECIPE), {}).recipe, {})
    assert again["harness.toy.acc"] == record["metrics"]["harness.toy.acc"]


def test_a_rehearsal_measures_few_examples(recipe, tmp_path):
    asked = []

    class Told(Reporter):
        def measuring(self, evaluation, done, of):
            asked.append(of)

    run(recipe, tmp_path / "out", Told(), rehearsal=2)
    assert max(asked) == 16 * len(CHOICES)
    assert planned(str(recipe))[1].harnesses[0].samples is None


def test_a_signal_ends_it_between_two_batches_and_resume_measures_it_again(recipe, tmp_path):
    class StopInside(Reporter):
        def measuring(self, evaluation, done, of):
            if evaluation.name == "harness toy" and done >= 8:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopInside())
    run(recipe, tmp_path / "cut", resume=True)
    run(recipe, tmp_path / "whole")
    one, two = (json.loads((tmp_path / n / "run.json").read_text("utf-8"))["metrics"] for n in ("cut", "whole"))
    assert one == two and not math.isnan(one["harness.toy.acc"])


def test_a_task_that_changed_since_the_plan_is_refused(recipe, tmp_path):
    from recipelang.planning.harness import unchanged

    plan = planned(str(recipe))[1]
    (tmp_path / "questions.jsonl").write_text('{"question": "a", "choices": ["a", "b"], "answer": 0}\n', "utf-8")
    with pytest.raises(RecipeError, match="E219"):
        unchanged(plan.harnesses[0])
