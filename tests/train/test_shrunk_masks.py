"""Masks of a model that is shrunk: cut with its weights, in force afterwards, and the same when a run is resumed."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import recipelang
from recipelang.engine.records import Interrupted, Reporter
from recipelang.engine.shrink import cut_masks, smaller
from recipelang.engine.worth import Read
from recipelang.modifiers.modifier import State
from recipelang.modifiers.pruners import pruner
from recipelang.planning.prune_plan import PruneEvent, PrunePlan, Target
from recipelang.pruning.masks import Masks
from tests.conftest import make_inputs

from .steps import StopAt, chosen, run, same, weights
from .test_shrink import Rows, failed, made, plan_of


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2"])
@pytest.mark.parametrize("axes", [{"ffn": 32}, {"layers": 2}, {"ffn": 32, "layers": 1}], ids=str)
def test_masks_lose_what_the_weights_lose(tmp_path, monkeypatch, kind, axes):
    model, facts = made(tmp_path, monkeypatch, kind)
    masks, generator = Masks(), torch.Generator().manual_seed(0)
    for tensor in (t for t in facts.tensors if t.prunable and t.layer is not None):
        parameter = model.get_parameter(tensor.name)
        torch.nn.init.normal_(parameter, generator=generator)
        masks.set(tensor.name, parameter, torch.rand(parameter.shape, generator=generator) < 0.5)
    kept = chosen(model, plan_of(facts, **axes), Read(Rows(), (), 2, torch.no_grad))
    small = smaller(model, kept)
    before = {n: p for n, p, _ in masks}
    cut_masks(masks, kept, small)
    there = dict(small.named_parameters())
    assert {n for n, _, _ in masks} == before.keys() & there.keys() and len(masks)
    for name, parameter, mask in masks:
        assert parameter is there[name]
        assert torch.equal(mask, parameter != 0), "nothing else is zero"


@pytest.mark.parametrize(("scope", "zeros"), [("uniform", (4, 4)), ("global", (8,))])
def test_what_cut_masks_hold_beyond_an_event_stays(scope, zeros):
    model = torch.nn.ModuleDict({n: torch.nn.Linear(4, 4, bias=False) for n in "ab"})
    masks = Masks()
    for name, parameter in model.named_parameters():
        masks.set(name, parameter, torch.arange(16).view(4, 4) >= 10)
    targets = tuple(Target(name=n, shape=(4, 4)) for n, _ in model.named_parameters())
    events = (PruneEvent(0, 0.25, zeros), PruneEvent(1, 0.75, tuple(3 * n for n in zeros)))
    block = PrunePlan(name="w", method="magnitude", scope=scope, targets=targets, events=events, at_least=True)
    acts = pruner(block, 0)
    state = State(model, torch.optim.SGD(model.parameters(), lr=0.1), masks, 1)
    acts.on_step_start(state)
    assert masks.dead == 20
    acts.on_end(state)
    assert masks.dead == 24


RECIPE = """recipe 1 "slim"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
stage sparse {
  length = 1 epoch, batch = 8, learning_rate = linear(1e-2 -> 0, over = start..end)
  prune weights {
    targets = @linear & @encoder
    never = @embeddings | @head | layers(-1) & @norm
    method = magnitude
    sparsity = cubic(0% -> 50%, over = 10%..80%, every = 3 steps)
  }
}
stage slim {
  mode = one_shot
  shrink body { axes = [ffn -> 50%, heads -> 1, hidden -> 16, layers -> 2], keep = layers(-1) }
}
stage recover {
  length = 1 epoch, batch = 8, learning_rate = linear(1e-2 -> 0, over = start..end)
  distill { teacher = stage.sparse, hardness = 50%, temperature = 2 }
}
stage more {
  length = 1 epoch, batch = 8, learning_rate = linear(1e-2 -> 0, over = start..end)
  prune weights {
    targets = @linear & @encoder
    method = magnitude
    sparsity = cubic(50% -> 75%, over = 10%..80%, every = 3 steps)
  }
}
evaluate dev { metrics = [f1] }
expect sparsity(@linear & @encoder) == 75%
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = make_inputs(tmp_path_factory.mktemp("sparse"), layers=4)
    (where / "a.recipe").write_text(RECIPE, "utf-8")
    return where


class Sparsities(Reporter):
    """What each step of a stage left."""

    def __init__(self) -> None:
        self.of: dict[str, list[float]] = {}

    def stepped(self, stage, step, loss, rate, sparsity) -> None:
        self.of.setdefault(stage.name, []).append(sparsity)


@pytest.fixture(scope="module")
def done(folder):
    seen = Sparsities()
    recipelang.run(folder / "a.recipe", out=folder / "out", reporter=seen)
    return folder / "out", seen.of


def test_masks_are_in_force_in_the_smaller_model(done):
    out, seen = done
    (share,) = set(seen["recover"])
    assert 0.3 < share < 0.7, "what was left stays, and no more comes"
    assert seen["more"][-1] == 0.75
    record = json.loads((out / "run.json").read_text("utf-8"))
    assert record["sparsity"]["targets"] == 0.75 and record["claims"][0]["met"]
    assert record["never"]["gained_zeros"] == {}


def test_verify_counts_every_stage_again(done):
    assert failed(done[0]) == []


@pytest.mark.parametrize("step", [5, 15], ids=["before", "after"])
def test_resumed_anywhere_it_has_the_same_bits(folder, done, step):
    out = folder / f"cut-{step}"
    with pytest.raises(Interrupted):
        run(folder / "a.recipe", out, StopAt(step))
    run(folder / "a.recipe", out, resume=True)
    assert same(weights(out), weights(done[0]))


def test_a_stage_that_lost_zeros_is_found(done, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    path = out / "stages" / "sparse" / "model.safetensors"
    with safe_open(path, "pt") as file:
        stamp = file.metadata()
    tensors = load_file(path)
    tensors["bert.encoder.layer.3.output.dense.weight"].fill_(0.5)
    save_file(tensors, path, stamp)
    assert "stages" in failed(out)
