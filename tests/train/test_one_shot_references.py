"""One-shot runs against references in double precision, written from the papers, that run the whole model plainly.

Inputs of a matrix are what hooks see in a pass of the whole model, layer after layer, once those before it are pruned:
no layer is ever called by itself. Only the rows of the calibration are taken from the run.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

import recipelang
from recipelang.engine.layers import Layers
from tests.conftest import WORDS
from tests.model_configs import walk_here
from tests.model_table import TASKS, make

#: of decisions: weights whose scores are as near as this to the last that goes may go in its place
NEAR = 1e-4
DAMP, BLOCK = 0.02, 16
RECIPE = """recipe 1 "shot"
seed = 1
model {{ base = "model", task = {task} }}
data {{ train = "data.jsonl", max_length = 16 tokens, samples = 12 samples }}
stage shot {{
  mode = one_shot
  prune weights {{
    targets  = @linear & (@encoder | @decoder) except (@router | @experts)
    never    = @embeddings | @head | @router
    method   = {method}
    sparsity = 50%
  }}
}}
"""
SPARSEGPT = f"sparsegpt(block = {BLOCK}, damp = {DAMP})"
#: as method, and the weights that are ranked together
METHODS = {
    "wanda": ("wanda", "row"),
    "wanda 2:4": ("wanda, pattern = 2:4", "2:4"),
    "wanda uniform": ("wanda(scope = uniform)", "uniform"),
    "sparsegpt": (SPARSEGPT, "uniform"),
    "sparsegpt 2:4": (f"{SPARSEGPT}, pattern = 2:4", "2:4"),
}
MODELS = {"gemma2": "causal_lm", "gpt_oss": "causal_lm", "gpt2": "causal_lm", "modernbert": "sequence_classification"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder with a model, `data.jsonl` and nothing pruned, of each type."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind) / "here"
            make(made[kind], kind, MODELS[kind])
            if MODELS[kind] == "sequence_classification":  # of several lengths, so that batches are padded
                rows = [{"text": " ".join(WORDS[: 5 + i % 7]), "label": ("no", "yes")[i % 2]} for i in range(16)]
                (made[kind] / "data.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
        return made[kind]

    return folder


@pytest.fixture
def shot(folders, monkeypatch, tmp_path):
    """Run one shot; gives the weights of its result, and the batches it was calibrated on."""
    walk_here(monkeypatch)
    batches: list[dict[str, torch.Tensor]] = []
    call = Layers.__call__

    def noted(self, names, gathers, order):
        rows = [self.features.batch([i]) for i in range(len(self.features))]
        batches.extend({k: torch.from_numpy(v) for k, v in row.items() if k not in self.labels} for row in rows)
        return call(self, names, gathers, order)

    monkeypatch.setattr(Layers, "__call__", noted)

    def run(kind: str, method: str):
        recipe = folders(kind) / f"{len(list(folders(kind).iterdir()))}.recipe"
        recipe.write_text(RECIPE.format(task=MODELS[kind], method=method), "utf-8")
        recipelang.run(recipe, out=tmp_path / "out")
        return load_file(tmp_path / "out" / "model.safetensors"), batches

    return run


# ------------------------------------------------------------------------- references
def inputs_of(model, names, batches) -> dict[str, torch.Tensor]:
    """[tokens, inputs] of each matrix in plain passes of the whole model, padding left out."""
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    keep = torch.ones(0)

    def look(name):
        return lambda module, args: seen[name].append(args[0].detach().reshape(-1, args[0].shape[-1])[keep])

    handles = [model.get_submodule(n.removesuffix(".weight")).register_forward_pre_hook(look(n)) for n in names]
    taken = inspect.signature(model.forward).parameters
    for batch in batches:
        keep = batch["attention_mask"].bool().flatten()
        with torch.no_grad():
            model(**{k: v for k, v in batch.items() if k in taken})
    for handle in handles:
        handle.remove()
    return {name: torch.cat(parts) for name, parts in seen.items()}


def decide(score, zeros: int, kept) -> None:
    """The run's decision must be this one: of each row of `score`, [sets, weights], the smallest go, near-ties aside."""
    assert (~kept).sum(1).tolist() == [zeros] * len(score)
    ordered = score.sort(1).values
    last_gone, first_kept = ordered[:, zeros - 1 : zeros], ordered[:, zeros : zeros + 1]
    assert bool((score[~kept].view(len(score), -1) <= first_kept * (1 + NEAR)).all()), "a larger one went"
    assert bool((score[kept].view(len(score), -1) >= last_gone * (1 - NEAR)).all()), "a smaller one stayed"


def sets_of(matrix, ranked: str):
    """The weights of some columns, [outputs, columns], as sets that are ranked each by itself."""
    match ranked:
        case "row":
            return matrix
        case "2:4":
            return matrix.reshape(-1, 4)
    return matrix.reshape(1, -1)


def wanda(w, x, kept, ranked: str):
    """arXiv 2306.11695: |W_ij| · ‖X_j‖₂."""
    scores = sets_of(w.abs() * x.norm(dim=0), ranked)
    decide(scores, scores.shape[1] // 2, sets_of(kept, ranked))
    return w * kept


def sparsegpt(w, x, kept, ranked: str):
    """arXiv 2301.00774, algorithm 1: masks of blocks of columns from w²/[H⁻¹]², errors carried to the right."""
    h = x.T @ x
    h += DAMP * h.diagonal().mean() * torch.eye(len(h), dtype=h.dtype)
    upper = torch.linalg.cholesky(torch.linalg.inv(h)).T.contiguous()  # H⁻¹ = UᵀU
    w, step = w.clone(), 4 if ranked == "2:4" else BLOCK
    for j in range(w.shape[1]):
        if j % step == 0:
            score = w[:, j : j + step] ** 2 / upper.diagonal()[j : j + step] ** 2
            sets = sets_of(score, ranked)
            decide(sets, sets.shape[1] // 2, sets_of(kept[:, j : j + step], ranked))
        error = w[:, j] * ~kept[:, j] / upper[j, j]
        w[:, j:] -= error[:, None] * upper[j, j:]
        w[~kept[:, j], j] = 0.0
    return w


def compare(folder: Path, kind: str, found, batches, reference, ranked: str) -> int:
    """Prune the model of a folder layer after layer, and compare each matrix with what was found; how many there are."""
    auto = getattr(transformers, TASKS[MODELS[kind]][0])
    plain = {"attn_implementation": "eager", "experts_implementation": "eager"}
    model = auto.from_pretrained(folder / "model", dtype=torch.float64, **plain).eval()
    modules = dict(model.named_modules())
    layers: dict[int, list[str]] = {}
    for name, weight in model.named_parameters():
        module = modules[name.rpartition(".")[0]]
        dense = isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"
        at = re.search(r"\.(\d+)\.", name)
        if at and weight.dim() == 2 and dense and "router" not in name:
            layers.setdefault(int(at[1]), []).append(name)
    assert len(layers) == 2
    for _, names in sorted(layers.items()):
        inputs = inputs_of(model, names, batches)
        for name in names:
            weight = model.get_parameter(name).data
            turned = type(modules[name.rpartition(".")[0]]).__name__ == "Conv1D"
            there, got = (weight.T, found[name].T) if turned else (weight, found[name])
            wanted = reference(there.clone(), inputs[name], got != 0, ranked)
            torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
            there.copy_(wanted)
    return sum(map(len, layers.values()))


CASES = [
    *((kind, method) for kind in MODELS for method in ("wanda", "sparsegpt")),
    ("gpt2", "wanda 2:4"),
    ("gpt2", "sparsegpt 2:4"),
    ("gpt2", "wanda uniform"),
    ("modernbert", "wanda 2:4"),
    ("gemma2", "sparsegpt 2:4"),
]


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_a_run_does_what_the_paper_says_to_the_whole_model(kind, method, folders, shot):
    written, ranked = METHODS[method]
    found, batches = shot(kind, written)
    lengths = [int(b["attention_mask"].sum()) for b in batches]
    assert len(lengths) == 12 and min(lengths) > 6  # beyond the window of a layer with one
    assert (len(set(lengths)) > 1) == (kind == "modernbert")
    reference = wanda if written.startswith("wanda") else sparsegpt
    matrices = {"gemma2": 14, "gpt_oss": 8, "modernbert": 8, "gpt2": 8}[kind]
    assert compare(folders(kind), kind, found, batches, reference, ranked) == matrices


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_the_reference_finds_layers_that_are_called_as_the_first_one_is(method, folders, shot, monkeypatch):
    """Of gemma2 every second layer has a window: with the mask of the first in all, the second reads other states."""
    plain = Layers._calls

    def as_the_first(self, layers, decoder=False):
        return [replace(p, calls=(p.calls[0],) * len(p.calls)) for p in plain(self, layers, decoder)]

    monkeypatch.setattr(Layers, "_calls", as_the_first)
    written, ranked = METHODS[method]
    found, batches = shot("gemma2", written)
    with pytest.raises(AssertionError):
        compare(folders("gemma2"), "gemma2", found, batches, wanda if method == "wanda" else sparsegpt, ranked)
