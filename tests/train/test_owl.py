"""`scope = owl`: what a run gives each layer is what the formula says of the whole dense model, and adds up exactly."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import recipelang
from recipelang.engine.layers import Layers
from recipelang.loading.plan import planned
from tests.cli.command import command
from tests.decoders import make_decoder, make_text

from .steps import same, weights

RECIPE = """recipe 1 "owl"
model {{ base = "model", task = causal_lm }}
# recipe: allow(L080) a test
data {{ train = "train.jsonl", max_length = 32 tokens, samples = 12 samples }}
stage cut {{
  mode = one_shot
  prune weights {{
    targets = @linear & @decoder
    never = @embeddings | @head
    method = {method}
    sparsity = {sparsity}{more}
  }}
}}
"""
M, FAR = 3, 0.1


@pytest.fixture
def recipe(tmp_path):
    make_decoder(tmp_path / "model", layers=4)
    make_text(tmp_path / "train.jsonl", 60)
    with torch.no_grad():  # so that layers have unlike outliers
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
        for number, layer in enumerate(model.model.layers):
            layer.mlp.up_proj.weight[:, : 2 * number + 1] *= 6
        model.save_pretrained(tmp_path / "model")

    def write(method: str, sparsity: str = "60%", more: str = "") -> Path:
        path = tmp_path / "owl.recipe"
        path.write_text(RECIPE.format(method=method, sparsity=sparsity, more=more), "utf-8")
        return path

    return write


def layer_of(name: str) -> int:
    found = re.search(r"layers\.(\d+)\.", name)
    return int(found[1]) if found else -1


def reference(folder: Path, batches, sparsity: float) -> dict[int, float]:
    """S_l = S - λ (D_l - D) / max |D_k - D|, D_l the share of |w| ‖x‖ above m times its mean in layer l: whole passes of
    the dense model in double precision."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    sums: dict[str, torch.Tensor] = {}

    def look(name):
        return lambda module, args: sums.update(
            {name: sums.get(name, 0) + args[0].reshape(-1, args[0].shape[-1]).square().sum(0)}
        )

    modules = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and layer_of(n) >= 0}
    for name, module in modules.items():
        module.register_forward_pre_hook(look(name))
    with torch.no_grad():
        for batch in batches:
            model(**batch)
    layers: dict[int, list[np.ndarray]] = {}
    for name, module in modules.items():
        scores = module.weight.abs() * sums[name].sqrt()
        layers.setdefault(layer_of(name), []).append(scores.detach().numpy().reshape(-1))
    found = {number: np.concatenate(parts) for number, parts in layers.items()}
    share = {n: float((scores > M * scores.mean()).mean()) for n, scores in found.items()}
    mean = float(np.average([*share.values()], weights=[len(s) for s in found.values()]))
    worst = max(abs(d - mean) for d in share.values())
    return {n: sparsity - FAR * (d - mean) / worst for n, d in share.items()}


@pytest.mark.parametrize("method", ["wanda", "sparsegpt", "alps"])
def test_layers_get_what_the_formula_says_of_the_dense_model(recipe, tmp_path, monkeypatch, method):
    batches: list[dict[str, torch.Tensor]] = []
    call = Layers.__call__

    def noted(self, names, gathers, order):
        if order == "untouched":
            rows = [self.features.batch([i]) for i in range(len(self.features))]
            batches.extend({k: torch.from_numpy(r[k]) for k in ("input_ids", "attention_mask")} for r in rows)
        return call(self, names, gathers, order)

    monkeypatch.setattr(Layers, "__call__", noted)
    path = recipe(f"{method}(scope = owl(m = {M}, lambda = {FAR}))")
    plan = planned(str(path))[1].stages[0].prunes[0]
    assert len(plan.events[0].zeros) == 1
    recipelang.run(path, out=tmp_path / "out")
    cut, wanted = weights(tmp_path / "out"), reference(tmp_path / "model", batches, 0.6)
    zeros = {t.name: int((cut[t.name] == 0).sum()) for t in plan.targets}
    assert sum(zeros.values()) == plan.events[0].zeros[0]
    assert len(batches) == 12 and max(wanted.values()) - min(wanted.values()) > FAR
    for target in plan.targets:  # whole numbers of each matrix
        assert abs(zeros[target.name] - wanted[layer_of(target.name)] * target.size) <= 1
    told = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))["layer_sparsity"]["cut.weights"]
    assert [*told] == [f"model.layers.{n}" for n in range(4)]
    for name, share in told.items():
        here = [t for t in plan.targets if t.name.startswith(f"{name}.")]
        assert share == sum(zeros[t.name] for t in here) / sum(t.size for t in here)
    if method == "wanda":  # within a matrix rows are ranked, as with `scope = row`
        for target in plan.targets:
            rows = (cut[target.name] == 0).sum(1)
            assert int(rows.max() - rows.min()) <= 1
    assert command("verify", str(tmp_path / "out")).code == 0


def test_with_no_distance_wanda_prunes_as_in_rows(recipe, tmp_path):
    with pytest.warns(match="W192"):
        recipelang.run(recipe("wanda(scope = owl(lambda = 0%))", "50%"), out=tmp_path / "owl")
    recipelang.run(recipe("wanda", "50%"), out=tmp_path / "row")
    assert same(weights(tmp_path / "owl"), weights(tmp_path / "row"))


def test_blocks_go_whole_and_add_up(recipe, tmp_path):
    path = recipe("wanda(scope = owl)", more="\n    pattern = block(2, 4)")
    plan = planned(str(path))[1].stages[0].prunes[0]
    recipelang.run(path, out=tmp_path / "out")
    cut = weights(tmp_path / "out")
    for target in plan.targets:
        height, width = target.shape
        tiles = (cut[target.name] == 0).view(height // 2, 2, width // 4, 4).sum((1, 3))
        assert set(tiles.view(-1).tolist()) == {0, 8}
    assert sum(int((cut[t.name] == 0).sum()) for t in plan.targets) == plan.events[0].zeros[0]


def test_weights_on_disk_give_the_same(recipe, tmp_path):
    path = recipe("sparsegpt(block = 16, scope = owl)")
    recipelang.run(path, out=tmp_path / "here")
    recipelang.run(path, out=tmp_path / "disk", offload=True)
    assert same(weights(tmp_path / "here"), weights(tmp_path / "disk"))


@pytest.mark.parametrize("offload", [False, True])
def test_a_second_shot_takes_back_no_zero(recipe, tmp_path, offload):
    path = recipe("wanda(scope = owl(m = 3))", "50%")
    first = path.read_text("utf-8")
    second = first[first.index("stage cut") :].replace("stage cut", "stage more").replace("50%", "52%")
    path.write_text(first + second.replace("m = 3", "m = 2"), "utf-8")
    recipelang.run(path, out=tmp_path / "both", offload=offload)
    path.write_text(first, "utf-8")
    recipelang.run(path, out=tmp_path / "one")
    one, both = weights(tmp_path / "one"), weights(tmp_path / "both")
    targets = [n for n in one if layer_of(n) >= 0 and one[n].dim() == 2]
    assert not any(bool(((one[n] == 0) & (both[n] != 0)).any()) for n in targets)
    total = sum(one[n].numel() for n in targets)
    assert sum(int((both[n] == 0).sum()) for n in targets) == round(0.52 * total)


def test_a_plan_without_its_arguments_is_none(recipe):
    plan = planned(str(recipe("wanda(scope = owl)")))[1].stages[0].prunes[0]
    for name in ("m", "lambda"):
        with pytest.raises(ValueError, match="lack those of `owl`"):
            form = json.loads(plan.model_dump_json())
            form["args"].pop(name)
            type(plan).model_validate_json(json.dumps(form))
