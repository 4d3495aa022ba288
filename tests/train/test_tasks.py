"""Every task in whole runs: planned, trained, distilled, measured, resumed, cut into parts."""

import json
import shutil

import pytest
import torch

from recipelang.engine.models import check_models, load_model
from recipelang.engine.records import Interrupted
from recipelang.loading.plan import planned
from recipelang.planning.data import load_split
from recipelang.provenance.recount import _zeros_before
from recipelang.source import RecipeError
from recipelang.tasks import task_of

from ..other_tasks import TASKS, make_task
from .steps import Steps, StopAt, run, same, weights

TEACHER = "distill { teacher = stage.dense, hardness = 80%, temperature = 2 }"
CACHED = TEACHER.replace(" }", ", cache = fp32 }")


def config_of(out):
    return json.loads((out / "config.json").read_text("utf-8"))


@pytest.mark.parametrize("task", TASKS)
def test_task_runs_and_what_was_planned_is_what_is_there(tmp_path, task):
    recipe = make_task(tmp_path, task, distill=TEACHER, more="group_by_length = true")
    _, plan, found = planned(str(recipe))
    softened = task_of(task).softmax  # what is no softmax has no temperature
    assert {d.code for d in found} <= {"W101", *([] if softened else ["L025"])}  # a stage of few steps
    data = plan.data[0]
    for name in ("train", "validation"):
        examples, features = load_split(data, name, tmp_path / "model")
        assert (len(examples), len(features)) == (data.examples[name], data.items[name])
    assert plan.model.fresh_head == (task != "sentence_similarity")
    result = run(recipe, tmp_path / "out")
    for metric in plan.evaluations[0].metrics:
        value = result.measurements.metrics[f"dev.{metric}"]
        least, most = {"perplexity": (1, 30), "mse": (0, 25)}.get(metric, (-1, 1))
        assert least <= value <= most
    (prune,) = plan.stages[1].prunes
    zeros = sum(result.measurements.zeros[t.name] for t in prune.targets)
    assert zeros == sum(prune.events[-1].zeros)
    assert not result.gained


@pytest.mark.parametrize("task", TASKS)
def test_stopped_and_resumed_is_uninterrupted(tmp_path, task):
    recipe = make_task(tmp_path, task, distill=TEACHER)
    run(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(9))
    result = run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    assert result.measurements.metrics == json.loads((tmp_path / "whole" / "run.json").read_text())["metrics"]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", ["magnitude", "snip"])
def test_parts_of_a_batch_give_the_loss_of_the_whole(tmp_path, task, method):
    """Tokens are counted over the batch, wherever it is cut: labels and padding are not the same in every part."""
    recipe = make_task(tmp_path, task, distill=TEACHER, method=method)
    text = recipe.read_text("utf-8").replace('base = "model"', 'base = "model", dropout = 0%, attention_dropout = 0%')
    recipe.write_text(text, "utf-8")
    found = []
    for micro in (8, 2):
        seen = Steps()
        run(recipe, tmp_path / f"m{micro}", seen, params=(f"micro={micro}",))
        found.append(torch.tensor(seen.losses))
    assert torch.allclose(*found, rtol=2e-4)


@pytest.mark.parametrize("task", [name for name in TASKS if task_of(name).gives != "words"])
def test_kept_outputs_of_a_teacher_are_those_of_the_teacher(tmp_path, task):
    losses = []
    for name, distill in (("live", TEACHER), ("kept", CACHED)):
        seen = Steps()
        run(make_task(tmp_path, task, distill=distill), tmp_path / name, seen)
        losses.append(torch.tensor(seen.losses))
    assert torch.allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("task", ["multiple_choice", "token_classification", "sentence_similarity"])
def test_hidden_states_and_maps_of_choices_and_words(tmp_path, task):
    distill = TEACHER.replace(" }", ", on = [logits, hidden(-1), attention(weight = 0.1)] }")
    seen = Steps()
    run(make_task(tmp_path, task, distill=distill), tmp_path / "out", seen)
    assert all(0 <= loss < 20 for loss in seen.losses)


@pytest.mark.parametrize("task", TASKS)
def test_one_shot_reads_the_inputs_of_every_task(tmp_path, task):
    recipe = make_task(tmp_path, task)
    head, tail = recipe.read_text("utf-8").split("stage dense")[0], "evaluate dev {}\n"
    prune = "targets = @linear & @encoder, never = @embeddings | @head, method = wanda, sparsity = 50%"
    recipe.write_text(f"{head}stage cut {{\n  mode = one_shot\n  prune weights {{ {prune} }}\n}}\n{tail}", "utf-8")
    result = run(recipe, tmp_path / "out")
    body = "" if task == "sentence_similarity" else "bert."
    zeros = result.measurements.zeros[f"{body}encoder.layer.0.output.dense.weight"]
    assert zeros == 32 * 32  # half of 32 × 64


def test_names_of_classes_are_those_of_the_data_and_stay_with_the_model(tmp_path):
    recipe = make_task(tmp_path, "sequence_classification")
    run(recipe, tmp_path / "out")
    assert config_of(tmp_path / "out")["id2label"] == {"0": "0", "1": "1", "2": "2"}
    again = recipe.read_text("utf-8").replace('base = "model"', 'base = "out"')
    recipe.write_text(again, "utf-8")
    assert not planned(str(recipe))[1].model.fresh_head


@pytest.fixture
def trained(tmp_path):
    """A recipe that begins with a model of three named classes."""
    recipe = make_task(tmp_path, "sequence_classification")
    run(recipe, tmp_path / "out")
    path = tmp_path / "out" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["id2label"] = {"0": "yes", "1": "no", "2": "maybe"}
    config["label2id"] = {"yes": 0, "no": 1, "maybe": 2}
    path.write_text(json.dumps(config), "utf-8")
    recipe.write_text(recipe.read_text("utf-8").replace('base = "model"', 'base = "out"'), "utf-8")
    return recipe


def relabel(folder, names):
    for split in ("train", "dev"):
        path = folder / f"{split}.jsonl"
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        rows = [{**r, "label": names[i % 3]} for i, r in enumerate(rows)]
        path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")


def test_a_trained_head_keeps_its_order_of_classes(trained, tmp_path):
    relabel(tmp_path, ["Maybe", "no", "yes"])
    plan = planned(str(trained))[1]
    assert plan.model.labels == ("yes", "no", "maybe")
    assert not plan.model.fresh_head
    features = load_split(plan.data[0], "train", tmp_path / "out")[1]
    assert features.labels[:3].tolist() == [2, 1, 0]


def test_a_teacher_with_its_classes_in_another_order_is_refused(trained, tmp_path):
    shutil.copytree(tmp_path / "out", tmp_path / "teacher")
    config = config_of(tmp_path / "teacher")
    config["id2label"] = {"0": "no", "1": "yes", "2": "maybe"}
    (tmp_path / "teacher" / "config.json").write_text(json.dumps(config), "utf-8")
    relabel(tmp_path, ["maybe", "no", "yes"])
    distill = 'distill { teacher = "teacher", hardness = 80%, temperature = 2 }\n\n  prune weights'
    trained.write_text(trained.read_text("utf-8").replace("prune weights", distill), "utf-8")
    with pytest.raises(RecipeError) as error:
        planned(str(trained))
    assert [d.code for d in error.value.diagnostics if d.code != "W101"] == ["E080"]


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "b", "a"]], ids=["as many", "fewer"])
def test_a_head_of_other_classes_is_drawn_anew(trained, tmp_path, names):
    relabel(tmp_path, names)
    plan = planned(str(trained))[1]
    assert plan.model.labels == tuple(sorted(set(names)))
    assert plan.model.fresh_head
    check_models(plan)
    old = weights(tmp_path / "out")
    new = dict(load_model(tmp_path / "out", plan.model, 1, plan.model.redrawn).named_parameters())
    drawn, there = new["classifier.weight"], old["classifier.weight"]
    assert drawn.shape != there.shape or not torch.equal(drawn, there)
    assert drawn.shape[0] == len(set(names)) and 0.01 < float(drawn.detach().std()) < 0.03
    assert not new["classifier.bias"].any()
    assert torch.equal(new["bert.pooler.dense.weight"], old["bert.pooler.dense.weight"])
    assert _zeros_before(tmp_path / "out", plan.model).keys() == new.keys() - {"classifier.weight", "classifier.bias"}
