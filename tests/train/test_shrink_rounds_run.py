"""`shrink` in rounds, in real runs of tiny models: the optimizer goes on, and so does a run that was interrupted."""

import copy
import json

import numpy as np
import pytest
import torch
from transformers import AutoConfig

import recipelang
from recipelang.engine.records import Interrupted, Reporter
from recipelang.engine.rounds import cut_optimizer
from recipelang.engine.shrink import smaller
from recipelang.pruning.masks import Masks
from tests.conftest import make_inputs

from .steps import StopAt, chosen, run, same, weights
from .test_shrink import READ, Rows, failed, made, plan_of


def trained(model, optimizer, steps: int, masks: Masks | None = None) -> list[float]:
    """The loss of every step."""
    losses = []
    for row in range(steps):
        batch = {k: torch.from_numpy(v) for k, v in Rows().batch(np.arange(row % 6, row % 6 + 1)).items()}
        loss = model(**batch).logits.square().mean()
        loss.backward()
        if masks is not None:
            masks.apply_gradients()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize(
    ("kind", "axes"), [("bert", {"ffn": 32}), ("gpt2", {"ffn": 32}), ("llama", {"heads": 2, "ffn": 48})]
)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_training_goes_on_as_if_the_units_that_went_were_masked(tmp_path, monkeypatch, kind, axes, optimizer):
    model, facts = made(tmp_path, monkeypatch, kind)
    parameters = [[p for p in model.parameters() if p.dim() > 1], [p for p in model.parameters() if p.dim() < 2]]
    groups = [{"params": p, "weight_decay": decay} for p, decay in zip(parameters, (0.1, 0.0), strict=True)]
    make = {"adamw": torch.optim.AdamW, "sgd": lambda g, lr: torch.optim.SGD(g, lr, momentum=0.9)}[optimizer]
    acts = make([{**g} for g in groups], lr=1e-3)
    trained(model, acts, 3)
    kept = chosen(model, plan_of(facts, **axes), READ)
    small = smaller(model, kept)

    reference = copy.deepcopy(model)
    names = {p: n for n, p in model.named_parameters()}
    twin = dict(reference.named_parameters())
    others = make([{**g, "params": [twin[names[p]] for p in g["params"]]} for g in groups], lr=1e-3)
    for parameter, memory in acts.state.items():
        others.state[twin[names[parameter]]] = copy.deepcopy(memory)
    masks = Masks()
    for reshape in kept.plan.reshapes:
        parameter = twin[reshape.name]
        mask = torch.zeros(parameter.numel(), dtype=torch.bool)
        mask[kept.taken(reshape.name, torch.arange(parameter.numel()).view(parameter.shape)).flatten()] = True
        masks.set(reshape.name, parameter, mask.view(parameter.shape))
    masks.clear_moments(others)

    cut_optimizer(acts, kept, dict(model.named_parameters()), small)
    assert [len(g["params"]) for g in acts.param_groups] == [len(g["params"]) for g in others.param_groups]
    assert {p for g in acts.param_groups for p in g["params"]} == acts.state.keys() == {*small.parameters()}
    assert trained(small, acts, 6) == pytest.approx(trained(reference, others, 6, masks), rel=1e-4)
    for name, parameter in small.named_parameters():
        torch.testing.assert_close(parameter, kept.taken(name, twin[name]), rtol=1e-3, atol=1e-5)


def test_of_layers_that_go_nothing_is_remembered(tmp_path, monkeypatch):
    model, facts = made(tmp_path, monkeypatch, "bert")
    acts = torch.optim.AdamW(model.parameters(), lr=1e-2)
    trained(model, acts, 2)
    kept = chosen(model, plan_of(facts, layers=2), READ)
    before = dict(model.named_parameters())
    memory = {n: acts.state[p]["exp_avg"] for n, p in before.items() if p in acts.state}
    small = smaller(model, kept)
    cut_optimizer(acts, kept, before, small)
    assert acts.param_groups[0]["params"] == [*small.parameters()]
    for name, moment in memory.items():
        if (new := kept.renamed(name)) is not None:
            assert torch.equal(acts.state.pop(small.get_parameter(new))["exp_avg"], moment)
    assert not acts.state


RECIPE = """recipe 1 "rounds"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
stage cut {
  mode = one_shot
  prune weights { targets = @ffn | @attention & @linear, method = magnitude, sparsity = 50% }
}
stage slim {
  length = 2 epochs, batch = 8, learning_rate = linear(1e-2 -> 0, over = start..end), activation_checkpointing = true
  shrink body { axes = [ffn -> 25%, layers -> 2], keep = layers(-1), rounds = 3, every = 3 steps }
  distill { teacher = stage.cut, hardness = 50%, temperature = 2 }
}
evaluate dev { metrics = [f1] }
expect sparsity(@attention & @linear) == 50%
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = make_inputs(tmp_path_factory.mktemp("rounds"), layers=4)
    (where / "a.recipe").write_text(RECIPE, "utf-8")
    return where


class Told(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.shares: list[float] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    def stepped(self, stage, step, loss, rate, sparsity) -> None:
        self.shares.append(sparsity)


@pytest.fixture(scope="module")
def done(folder):
    told = Told()
    recipelang.run(folder / "a.recipe", out=folder / "out", reporter=told)
    return folder / "out", told


def test_the_model_becomes_smaller_between_steps_and_the_record_says_what_is_left(done):
    out, told = done
    config = AutoConfig.from_pretrained(out)
    assert (config.intermediate_size, config.num_hidden_layers) == (16, 2)
    each = [t.partition("; ")[0] for t in told.said if t.startswith("step ")]
    kept = json.loads((out / "run.json").read_text("utf-8"))["layers_kept"]["slim.body"]
    assert len(kept) == 2 and kept[-1] == 3, "by their numbers in the model that the stage began with"
    assert each[1] == "step 3: shrink body: ffn 48 -> 32"
    assert each[2] == f"step 6: shrink body: ffn 32 -> 16, layers 3 -> 2 ({kept[0]}, 3 stay)"
    assert f"({kept[0]}, 3 stay) in 3 rounds" in (out / "README.md").read_text("utf-8").replace("\\", "")


def test_masks_of_before_are_in_force_throughout(done):
    _, told = done
    assert len({*told.shares[:3]}) == len({*told.shares[6:]}) == 1
    assert all(0.4 < share < 0.6 for share in told.shares)


def test_verify_plans_the_rounds_again(done):
    assert failed(done[0]) == []


@pytest.mark.parametrize("step", [2, 3, 8], ids=["between", "just-before", "after"])
def test_resumed_anywhere_it_has_the_same_bits(folder, done, step):
    out = folder / f"cut-{step}"
    with pytest.raises(Interrupted):
        run(folder / "a.recipe", out, StopAt(step))
    run(folder / "a.recipe", out, resume=True)
    assert same(weights(out), weights(done[0]))


def test_a_rehearsal_comes_to_the_planned_sizes(folder):
    run(folder / "a.recipe", folder / "short", rehearsal=2)
    config = AutoConfig.from_pretrained(folder / "short")
    assert (config.intermediate_size, config.num_hidden_layers) == (16, 2)
