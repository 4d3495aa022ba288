"""A stage with masked adapters after one that prunes: zeros stay, it resumes bit for bit, parts of batches, a teacher."""

from __future__ import annotations

import pytest
import torch

from recipelang.engine.records import Interrupted, Reporter
from recipelang.loading.plan import planned

from .steps import StopAt, run, same, weights
from .test_pruning import targets

RECOVER = """stage recover {
  length = 7 steps
  batch = 8
  micro_batch = micro
  checkpoint_every = 2 steps
  learning_rate = linear(2e-2 -> 0, over = start..end)
  adapter low { method = lora(rank = 4), targets = @linear & @encoder, also = @norm & @encoder }
  distill { teacher = stage.dense, hardness = 80%, temperature = 2 }
}

evaluate dev"""


@pytest.fixture
def recipe(project):
    return project(replace=("evaluate dev", RECOVER))


def before(folder):
    """What the stage before leaves."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_zeros_of_the_stage_before_stay_and_only_what_is_named_changes(recipe, project, tmp_path):
    assert not run(recipe, tmp_path / "out").failed
    after = weights(tmp_path / "out")
    pruned = project(length="2 epochs")
    run(pruned, tmp_path / "pruned")
    earlier = weights(tmp_path / "pruned")
    named = targets(tmp_path / "out")
    for name, weight in after.items():
        if name in named:
            assert torch.equal(weight == 0, earlier[name] == 0), name
            assert not torch.equal(weight, earlier[name]), name
            assert torch.linalg.matrix_rank((weight - earlier[name]).double()) >= 1
        elif ".encoder." in name and "LayerNorm" in name:
            assert not torch.equal(weight, earlier[name]), name
        else:
            assert torch.equal(weight, earlier[name]), name


@pytest.mark.parametrize("step", [19, 22, 24])
def test_it_resumes_bit_for_bit(recipe, tmp_path, step):
    run(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "cut", StopAt(step))
    run(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_the_plan_counts_what_is_trained_and_its_memory(recipe, project):
    plan = planned(str(recipe))[1]
    stage = plan.stages[2]
    (adapter,) = stage.adapters
    assert adapter.trained == sum(4 * (t.shape[0] + t.shape[1]) for t in adapter.targets)
    (held,) = stage.freezes
    assert {*held.targets}.isdisjoint([t.name for t in adapter.targets] + [*adapter.also])
    assert len(held.targets) + len(adapter.targets) + len(adapter.also) == len(
        [n for n, _ in _parameters(plan.model.path)]
    )


def _parameters(path):
    from transformers import AutoModelForQuestionAnswering

    return AutoModelForQuestionAnswering.from_pretrained(path).named_parameters()


REDRAWN = ("method = if scope == uniform then magnitude(scope = uniform) else magnitude(scope = global)",
           "method = redrawn_movement(learning_rate = 1e-2)")  # fmt: skip


@pytest.mark.parametrize("kind", ["adapter", "redrawn"])
def test_weights_of_16_bits_go_on_from_the_newest_checkpoint(kind, project, tmp_path):
    """What is kept of a weight is of the weight's own type."""
    path = project(replace=("evaluate dev", RECOVER) if kind == "adapter" else REDRAWN)
    text = path.read_text("utf-8").replace("question_answering }", "question_answering, dtype = bf16 }")
    path.write_text(text.replace("over = 0%..80%", "over = 10%..80%"), "utf-8")
    stop = 22 if kind == "adapter" else 12
    with pytest.raises(Interrupted):
        run(path, tmp_path / "cut", StopAt(stop))
    newest = max(p.name for p in (tmp_path / "cut" / "checkpoints").iterdir())

    class First(Reporter):
        step = None

        def stepped(self, stage, step, loss, rate, sparsity) -> None:
            self.step = self.step or step

    seen = First()
    run(path, tmp_path / "cut", seen, resume=True)
    assert seen.step == int(newest.rpartition("-")[2]) + 1 > 1
