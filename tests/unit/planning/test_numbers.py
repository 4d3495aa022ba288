"""A head for one number, in every family: a model's own, a new one in place of another, a teacher's."""

import json
from pathlib import Path

import pytest
import torch

import recipelang
from recipelang.engine.models import check_models, load_model
from recipelang.loading.plan import planned
from recipelang.loading.read import check_all
from recipelang.planning.families import HEADS
from recipelang.planning.numbers import OUTPUT
from recipelang.planning.types import ModelPlan
from recipelang.source import Diagnostics, RecipeError, Source
from tests.conftest import make_model
from tests.model_folders import configure, make_folder

RECIPE = """recipe 1 "numbers"
model { base = "BASE", task = regression }
data { train = "t.jsonl", validation = "v.jsonl", max_length = 16 tokens }
stage dense {
  length = 2 steps, batch = 2, learning_rate = linear(1e-3 -> 0, over = start..end)
  DISTILL
  prune weights { targets = @linear & @encoder, never = @embeddings | @head, method = magnitude, sparsity = 50% }
}
evaluate dev { METRICS }
"""
DISTILL = 'distill { teacher = "teacher", hardness = 100%, temperature = 1 }'


def classifier(folder, *names, **more):
    """A tiny BERT with a head for these outputs."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    make_model(folder)
    torch.manual_seed(1)
    config = AutoConfig.from_pretrained(folder)
    config.id2label, config.label2id = dict(enumerate(names)), {n: i for i, n in enumerate(names)}
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    configure(folder, **more)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    make_model(folder / "bare")
    classifier(folder / "number", "similarity")
    classifier(folder / "classes", "contradiction", "neutral", "entailment", problem_type="single_label_classification")
    return folder


@pytest.fixture
def plan(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("t", "v"):
        rows = [{"sentence": "gold of peru", "label": 1.5}, {"sentence": "iron", "label": 4}]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")

    def made(base, distill="", metrics="", teacher="number"):
        text = RECIPE.replace("BASE", str(models / base)).replace("DISTILL", distill).replace("METRICS", metrics)
        (tmp_path / "a.recipe").write_text(text.replace('"teacher"', f'"{models / teacher}"'), "utf-8")
        _, plan, found = planned("a.recipe")
        return plan, found

    return made


def refusal(call):
    with pytest.raises(RecipeError) as error:
        call()
    (found,) = [d for d in error.value.diagnostics if d.code.startswith("E")]
    return found


# ------------------------------------------------------------------------- heads
def test_a_head_for_one_number_is_kept_with_its_name(plan):
    it, found = plan("number")
    assert not it.model.fresh_head and it.model.labels == ("similarity",)
    assert "W147" not in {d.code for d in found}


def test_a_model_without_a_head_gets_one(plan):
    it, found = plan("bare")
    assert it.model.fresh_head and it.model.labels == (OUTPUT,)
    assert "W147" not in {d.code for d in found}


def test_a_head_for_classes_is_replaced_and_the_reason_given(plan):
    it, found = plan("classes")
    (said,) = [d for d in found if d.code == "W147"]
    assert it.model.fresh_head and it.model.labels == (OUTPUT,)
    assert "3 outputs: `contradiction`, `neutral`, `entailment`" in said.notes[0]
    check_models(it)
    model = load_model(Path(it.model.path), it.model, 1, it.model.redrawn)
    assert model.classifier.weight.shape == (1, 32) and not model.classifier.bias.any()
    assert (model.config.num_labels, model.config.problem_type) == (1, "regression")


@pytest.mark.parametrize("family", sorted(f for f, heads in HEADS.items() if "sequence_classification" in heads))
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_every_family_is_trained_on_the_squared_error(tmp_path, family, precision):
    """Batches of one included, whatever the config says of the problem."""
    names = {"0": OUTPUT}
    folder = make_folder(
        tmp_path / "m", family, "sequence_classification", id2label=names, problem_type="multi_label_classification",
        pad_token_id=1,
    )  # fmt: skip
    model = load_model(folder, ModelPlan(ref="m", path=str(folder), task="regression", labels=(OUTPUT,)), 0).eval()
    for labels in ([2.5, -1.0, 40.0], [2.5]):
        ids = torch.arange(2, 2 + 4 * len(labels)).reshape(len(labels), 4) % 24
        right = torch.tensor(labels)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
            out = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=right)
        assert out.logits.shape == (len(labels), 1)
        torch.testing.assert_close(out.loss, ((out.logits[:, 0].float() - right) ** 2).mean())


# ---------------------------------------------------------------------- teachers
def test_a_teacher_of_numbers_is_compared_by_the_squared_difference(plan):
    it, _ = plan("bare", DISTILL)
    (distill,) = it.stages[0].distills
    assert [(t.kind, t.output) for t in distill.terms] == [("number", "logits")]


@pytest.mark.parametrize(
    ("teacher", "message"),
    [("classes", "the teacher predicts classes, not a number"), ("bare", "the teacher has no head for regression")],
)
def test_another_teacher_is_refused_for_its_true_reason(plan, teacher, message):
    found = refusal(lambda: plan("number", DISTILL, teacher=teacher))
    assert (found.code, found.message) == ("E080", message)


def test_outputs_that_a_regression_lacks_are_refused(plan):
    distill = DISTILL.replace("temperature", "on = start_logits, temperature")
    assert refusal(lambda: plan("number", distill)).code == "E054"


def test_a_temperature_has_no_effect_and_that_is_said(plan):
    _, found = plan("number", DISTILL.replace("temperature = 1", "temperature = linear(5 -> 1, over = start..end)"))
    assert [d.code for d in found if d.code in ("L021", "L025")] == ["L025"]
    _, found = plan("number", DISTILL)
    assert [d.code for d in found if d.code in ("L021", "L025")] == []


# -------------------------------------------------------------------- evaluations
def relabelled(folder, *labels):
    rows = [{"sentence": f"gold {i}", "label": label} for i, label in enumerate(labels)]
    (folder / "v.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")


def test_labels_that_are_all_equal_have_no_correlation(plan, tmp_path):
    relabelled(tmp_path, 2.5, 2.5, 3)
    assert plan("number")[0]
    found = refusal(lambda: plan("number", metrics="samples = 2 samples"))
    assert (found.code, found.message) == ("E054", "`dev` has only one label: `2.5`")
    assert "`pearson` is undefined" in found.notes[0]
    found = refusal(lambda: plan("number", metrics="samples = 2 samples, metrics = [mse, spearman]"))
    assert "`spearman` is undefined" in found.notes[0] and found.primary.span
    assert plan("number", metrics="samples = 2 samples, metrics = [mse]")[0].evaluations[0].metrics == ("mse",)


def test_the_labels_of_public_test_sets_are_known(plan, tmp_path):
    relabelled(tmp_path, -1, -1.0)
    assert "public test sets hold -1" in " ".join(refusal(lambda: plan("number")).notes)


def test_other_metrics_and_settings_are_refused(plan):
    assert refusal(lambda: plan("number", metrics="metrics = [accuracy]")).code == "E054"


def test_a_claim_of_a_plain_number_is_shown_as_one():
    from recipelang.engine.records import Measurements
    from recipelang.spec.claims import judge

    text = RECIPE.replace("DISTILL", "").replace("METRICS", "") + "expect dev.mse <= 0.25\nexpect dev.pearson >= 85%\n"
    checked = check_all(Source("a.recipe", text), {})
    assert not checked.diagnostics.errors and isinstance(checked.diagnostics, Diagnostics)
    error, correlation = judge(checked.recipe, Measurements({"dev.mse": 0.5, "dev.pearson": 0.875}))
    assert (error.expected, error.measured, error.met) == ("≤ 0.25", "0.5", False)
    assert (correlation.expected, correlation.measured, correlation.met) == ("≥ 85.00 %", "87.50 %", True)


# --------------------------------------------------------- somebody else's loop
LOOP = """recipe 1 "loop"
model { base = "any", task = TASK }
data { train = "any.jsonl" }
stage s {
  length = 2 steps, batch = 4, learning_rate = 0.01, optimizer = sgd
  distill { teacher = "any", hardness = 75%, temperature = 1 }
  prune weights { targets = "0.weight", method = magnitude, sparsity = step(0% -> 50%, at = 1 step) }
}
"""


def attached(task, outputs=1):
    torch.manual_seed(0)
    model, teacher = (torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, outputs)) for _ in range(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    handed = _Named(teacher)
    text = LOOP.replace("TASK", task)
    return model, teacher, recipelang.attach(text, model, optimizer, teacher=handed, steps_per_epoch=2)


class _Named(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def test_a_loop_distills_numbers():
    model, teacher, pruning = attached("regression")
    x = torch.randn(4, 4)
    pruning.step_start()
    said = model(x)
    loss = pruning.loss(said.square().mean(), said, {"x": x})
    expected = 0.25 * said.square().mean() + 0.75 * (said - teacher(x)).square().mean()
    torch.testing.assert_close(loss, expected)


def test_a_softmax_over_one_logit_is_refused_in_a_loop():
    """It would be 1, whatever teacher and student say."""
    model, _, pruning = attached("sequence_classification")
    x = torch.randn(4, 4)
    pruning.step_start()
    found = refusal(lambda: pruning.loss(model(x).square().mean(), model(x), {"x": x}))
    assert found.code == "E086" and "write `task = regression`" in found.help[0]


@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_a_loop_for_a_number_takes_models_of_one_output(models, whose):
    from transformers import AutoModelForSequenceClassification

    made = {w: AutoModelForSequenceClassification.from_pretrained(models / "number") for w in ("student", "teacher")}
    made[whose] = AutoModelForSequenceClassification.from_pretrained(models / "classes")
    optimizer = torch.optim.SGD(made["student"].parameters(), lr=0.01)
    text = LOOP.replace("TASK", "regression").replace('"0.weight"', "@linear & @encoder")
    found = refusal(
        lambda: recipelang.attach(text, made["student"], optimizer, teacher=made["teacher"], steps_per_epoch=2)
    )
    assert (found.code, found.message) == ("E080", f"the {whose} predicts classes, not a number")
