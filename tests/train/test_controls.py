"""`freeze`, `group`, `drop layers` and batches of like length in real runs of a tiny model."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForQuestionAnswering

from recipelang.engine.records import Interrupted
from tests.conftest import make_model

from .steps import Steps, StopAt, run, same, weights

RECIPE = """recipe 1 "controls"
model { base = "BASE", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
stage s {
  length = 2 epochs
  batch = 8
  learning_rate = linear(1e-2 -> 1e-3, over = start..end)
  EXTRA
}
"""


@pytest.fixture
def recipe(tmp_path, tiny):
    """A recipe of one stage of 12 steps; the model beside it has 4 layers."""
    for name in ("train.json", "dev.json"):
        shutil.copy(tiny / name, tmp_path / name)
    make_model(tmp_path / "model", layers=4)

    def write(extra: str, *changes: tuple[str, str]):
        text = RECIPE.replace("EXTRA", extra).replace("BASE", "model")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "a.recipe").write_text(text, "utf-8")
        return tmp_path / "a.recipe"

    return write


def before(tmp_path) -> dict[str, torch.Tensor]:
    return load_file(tmp_path / "model" / "model.safetensors")


def unchanged(now: dict[str, torch.Tensor], then: dict[str, torch.Tensor]) -> set[str]:
    return {n for n in now if torch.equal(now[n], then[n])}


def cut_and_resumed(recipe, out, step: int) -> dict[str, torch.Tensor]:
    with pytest.raises(Interrupted):
        run(recipe, out, StopAt(step))
    run(recipe, out, resume=True)
    return weights(out)


# -------------------------------------------------------------------------- freeze
SNIP = """stage once {
  mode = one_shot
  prune weights { targets = @linear & @encoder, method = snip(scope = uniform), sparsity = 50% }
}
"""


def test_a_rehearsal_that_stops_while_something_is_frozen_leaves_gradients_to_the_next_stage(recipe, tmp_path):
    path = recipe("freeze e { targets = @encoder | @embeddings, until = 1 epoch }")
    path.write_text(path.read_text("utf-8") + SNIP, "utf-8")
    run(path, tmp_path / "out", rehearsal=2)
    pruned = [w for n, w in weights(tmp_path / "out").items() if ".layer." in n and w.dim() == 2]
    rows = [(w == 0).sum(1) for w in pruned]
    assert all(int(r.sum()) == w.numel() // 2 for r, w in zip(rows, pruned, strict=True))
    assert not any(set(r.tolist()) == {0, w.shape[1]} for r, w in zip(rows, pruned, strict=True)), "by order alone"


@pytest.mark.parametrize("momentum", ["", "(momentum = 0.9)"])
def test_sgd_trains_what_is_frozen_only_at_first(recipe, tmp_path, momentum):
    path = recipe(
        f"freeze e {{ targets = @embeddings, until = 3 steps }}\n  optimizer = sgd{momentum}", ("2 epochs", "5 steps")
    )
    run(path, tmp_path / "out")
    assert unchanged(weights(tmp_path / "out"), before(tmp_path)) <= {"bert.embeddings.position_ids"}


def test_frozen_parameters_keep_every_bit_and_the_others_move(recipe, tmp_path):
    path = recipe("freeze e { targets = @embeddings | layers(0) }\n  optimizer = adamw(weight_decay = 0.1)")
    run(path, tmp_path / "out")
    now, then = weights(tmp_path / "out"), before(tmp_path)
    meant = {n for n in now if ".embeddings." in n or ".layer.0." in n}
    # the bias of keys has no gradient in exact arithmetic, so whether it moves is chance
    assert unchanged(now, then) - {n for n in now if n.endswith("key.bias")} == meant - {
        n for n in now if n.endswith("key.bias")
    }


def test_frozen_until_a_step_moves_from_there_on(recipe, tmp_path):
    name = "bert.embeddings.word_embeddings.weight"
    path = recipe("freeze e { targets = @embeddings, until = 1 epoch }")
    with pytest.raises(Interrupted):
        run(path, tmp_path / "out", StopAt(6))
    (checkpoint,) = (tmp_path / "out" / "checkpoints").iterdir()
    saved, state = load_file(checkpoint / "model.safetensors"), load_file(checkpoint / "state.safetensors")
    assert torch.equal(saved[name], before(tmp_path)[name])
    assert not [key for key in state if name in key], "it had no gradient, so it has no moments"
    run(path, tmp_path / "out", resume=True)
    assert not torch.equal(weights(tmp_path / "out")[name], saved[name])


@pytest.mark.parametrize("step", [3, 6, 9])  # before it is trained, at that step, and after
def test_frozen_and_resumed_is_uninterrupted(recipe, tmp_path, step):
    path = recipe("freeze e { targets = @embeddings, until = 1 epoch }\n  freeze l { targets = layers(1) }")
    run(path, tmp_path / "whole")
    assert same(cut_and_resumed(path, tmp_path / "cut", step), weights(tmp_path / "whole"))


def test_the_next_stage_trains_what_the_one_before_froze(recipe, tmp_path):
    second = ("stage s {", "stage t { length = 1 epoch, batch = 8, learning_rate = 1e-2 }\nstage s {")
    order = ("stage t", "stage first"), ("stage s", "stage t")
    path = recipe("", second, *order)
    text = path.read_text("utf-8").replace("stage first {", "stage first { freeze e { targets = @embeddings }\n")
    path.write_text(text.replace("length = 1 epoch, batch", "length = 1 epoch\n  batch"), "utf-8")
    run(path, tmp_path / "out")
    name = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(weights(tmp_path / "out")[name], before(tmp_path)[name])


def test_a_frozen_tensor_is_masked_and_its_other_weights_stay(recipe, tmp_path):
    prune = "prune w { targets = layers(0) & @linear, method = magnitude, sparsity = 50% }"
    run(recipe(f"freeze l {{ targets = layers(0) }}\n  {prune}"), tmp_path / "out")
    name = "bert.encoder.layer.0.output.dense.weight"
    now, then = weights(tmp_path / "out")[name], before(tmp_path)[name]
    assert int((now == 0).sum()) == now.numel() // 2
    assert torch.equal(now[now != 0], then[now != 0])


# -------------------------------------------------------------------------- groups
def test_a_group_has_its_own_rate(recipe, tmp_path):
    path = recipe("group rest { targets = !@head, learning_rate = 0 }\n  optimizer = adamw(weight_decay = 0.1)")
    run(path, tmp_path / "out")
    now, then = weights(tmp_path / "out"), before(tmp_path)
    assert {n for n in now if n not in unchanged(now, then)} == {"qa_outputs.weight", "qa_outputs.bias"}


def test_weight_decay_reaches_only_its_group(recipe, tmp_path):
    """With a rate that makes gradients count for nothing beside the decay, weights shrink by a known factor."""
    extra = """optimizer = adamw(weight_decay = 1, eps = 1e12)
  group no_decay { targets = @bias | @norm, weight_decay = 0 }"""
    run(recipe(extra, ("linear(1e-2 -> 1e-3, over = start..end)", "0.1")), tmp_path / "out")
    now, then = weights(tmp_path / "out"), before(tmp_path)
    for name in now:
        kept = name.endswith(".bias") or "LayerNorm" in name
        torch.testing.assert_close(now[name], then[name] * (1 if kept else 0.9**12), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["adamw(weight_decay = 0.01)", "sgd(momentum = 0.9)"])
def test_groups_resumed_are_uninterrupted(recipe, tmp_path, optimizer):
    decay = ", weight_decay = 0" if optimizer.startswith("adamw") else ""
    extra = f"group norms {{ targets = @norm, learning_rate = linear(1e-3 -> 0, over = start..end){decay} }}"
    path = recipe(f"{extra}\n  group head {{ targets = @head, learning_rate = 0.1 }}\n  optimizer = {optimizer}")
    run(path, tmp_path / "whole")
    assert same(cut_and_resumed(path, tmp_path / "cut", 5), weights(tmp_path / "whole"))


# -------------------------------------------------------------------------- layers
DROP = "drop layers { keep = [1, 3] }"


def test_what_is_exported_has_the_layers_that_stay(recipe, tmp_path):
    run(recipe(DROP, ("linear(1e-2 -> 1e-3, over = start..end)", "0")), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["num_hidden_layers"] == 2
    now, then = weights(tmp_path / "out"), before(tmp_path)
    for name in now:
        assert torch.equal(now[name], then[name.replace("layer.1.", "layer.3.").replace("layer.0.", "layer.1.")])
    model, loading = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert (model.config.num_hidden_layers, loading["missing_keys"], loading["unexpected_keys"]) == (2, set(), set())


def test_dropped_pruned_and_resumed_is_uninterrupted(recipe, tmp_path):
    prune = "prune w { targets = @encoder & @linear, method = movement, sparsity = cubic(10% -> 50%, over = 20%..80%, every = 2 steps) }"
    path = recipe(f"{DROP}\n  {prune}")
    run(path, tmp_path / "whole")
    assert same(cut_and_resumed(path, tmp_path / "cut", 7), weights(tmp_path / "whole"))
    zeros = [int((w == 0).sum()) for n, w in weights(tmp_path / "whole").items() if n.endswith("query.weight")]
    assert zeros == [512, 512]


def test_shallow_student_of_the_whole_model(recipe, tmp_path):
    """Hidden states at the same depth: student 0 and 1 with the teacher's 1 and 3, which they were before."""
    shutil.copytree(tmp_path / "model", tmp_path / "teacher")
    distill = 'distill { teacher = "teacher", on = hidden(0..1), hardness = 100%, temperature = 1 }'
    still = ("linear(1e-2 -> 1e-3, over = start..end)", "0")
    quiet = ("task = question_answering }", "task = question_answering, dropout = 0%, attention_dropout = 0% }")
    losses = {}
    for name, extra in (("near", "drop layers { keep = [0, 1] }"), ("far", "drop layers { keep = [2, 3] }")):
        steps = Steps()
        pairs = distill.replace("0..1", "0 -> 0, 1 -> 1")
        run(recipe(f"{extra}\n  {pairs}", still, quiet), tmp_path / name, steps)
        losses[name] = np.mean(steps.losses)
    assert losses["near"] == pytest.approx(0, abs=1e-9)  # the first layers are the teacher's own
    assert losses["far"] > 1e-4
    steps = Steps()
    run(recipe(f"{DROP}\n  {distill}", quiet), tmp_path / "learns", steps)
    plan = json.loads((tmp_path / "learns" / "recipe" / "plan.json").read_text("utf-8"))
    assert plan["stages"][0]["distills"][0]["terms"][0]["layers"] == [[0, 1], [1, 3]]
    assert np.mean(steps.losses[-3:]) < np.mean(steps.losses[:3])


# ------------------------------------------------------------------ like lengths
def test_like_length_and_resumed_is_uninterrupted(recipe, tmp_path):
    path = recipe("", ("stride = 8 tokens", "stride = 8 tokens, group_by_length = true"))
    run(path, tmp_path / "whole")
    assert same(cut_and_resumed(path, tmp_path / "cut", 4), weights(tmp_path / "whole"))
    plain = recipe("")
    run(plain, tmp_path / "plain")
    assert not same(weights(tmp_path / "plain"), weights(tmp_path / "whole"))
