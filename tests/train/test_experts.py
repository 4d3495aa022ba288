"""Experts of a mixture are pruned one by one, each by the inputs that the router sends it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file
from typer.testing import CliRunner

import recipelang
from recipelang.cli.main import command_line
from recipelang.engine.layers import Target, expert_inputs
from recipelang.engine.records import read_record
from recipelang.loops.notices import RecipeWarning
from recipelang.planning import counts
from recipelang.planning.data import load_split
from recipelang.planning.zeros import count
from tests.mixtures import AVOIDED, make_avoiding
from tests.model_configs import walk_here
from tests.model_table import make
from tests.train.test_one_shot_references import SPARSEGPT, sparsegpt, wanda

KINDS = ("mixtral", "gpt_oss")  # stored outputs first and one by one, and inputs first with biases

RECIPE = """recipe 1 "experts"
seed = 1
model { base = "model", task = causal_lm }
data { train = "data.jsonl", validation = "data.jsonl", max_length = 16 tokens, samples = 8 samples }
stage shot {
  mode = one_shot
  prune weights {
    targets  = "**.experts.*"
    never    = @embeddings | @head
    method   = METHOD
    pattern  = PATTERN
    sparsity = 50%
  }
}
evaluate dev { split = "validation" }
"""


@pytest.fixture(autouse=True)
def here(monkeypatch):
    walk_here(monkeypatch)


def pruned(folder: Path, kind: str, method: str, pattern: str = "unstructured") -> tuple[torch.nn.Module, dict]:
    """The model before, and its experts after: name -> [experts, outputs, inputs]."""
    before = make(folder, kind, "causal_lm").eval()
    recipe = folder / "a.recipe"
    recipe.write_text(RECIPE.replace("METHOD", method).replace("PATTERN", pattern), "utf-8")
    recipelang.run(recipe, out=folder / "out")
    after = transformers.AutoModelForCausalLM.from_pretrained(folder / "out")
    return before, {n: matrices(kind, p) for n, p in after.named_parameters() if is_stack(n, p)}


def is_stack(name: str, parameter: torch.Tensor) -> bool:
    return "experts" in name and parameter.dim() == 3


def matrices(kind: str, stack: torch.Tensor) -> torch.Tensor:
    return (stack.transpose(1, 2) if kind == "gpt_oss" else stack).detach()


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
@pytest.mark.parametrize("kind", KINDS)
def test_experts_are_what_the_papers_say_of_the_tokens_of_each(kind, method, tmp_path):
    """References in double precision, of inputs that a plain pass through the whole model shows."""
    written = "wanda(scope = row)" if method == "wanda" else SPARSEGPT
    model, after = pruned(tmp_path, kind, f"{written}\n    order = parallel")
    model.config._experts_implementation = "eager"
    calls: dict[str, list] = {}
    for name, module in model.named_modules():
        if name.endswith("experts"):
            module.register_forward_pre_hook(
                lambda m, args, named, at=name: calls.setdefault(at, []).append((*args, *named.values())),
                with_kwargs=True,
            )
    data = recipelang.plan(tmp_path / "a.recipe").data[0]
    _, features = load_split(data, "train", tmp_path / "model")  # blocks of text without padding
    assert len(features) == 8
    for row in range(8):
        with torch.no_grad():
            model(input_ids=torch.from_numpy(features.batch([row])["input_ids"]))
    parameters = dict(model.named_parameters())
    checked = Counter()
    for name, now in after.items():
        module = model.get_submodule(name.rpartition(".")[0])
        weight = matrices(kind, parameters[name]).double()
        for expert in range(len(weight)):
            inputs = []
            for states, routes, *_ in calls[name.rpartition(".")[0]]:
                x = states[(routes == expert).any(-1)].double()
                if name.endswith("down_proj"):
                    up = matrices(kind, module.gate_up_proj)[expert].double()
                    bias = module.gate_up_proj_bias[expert].double() if kind == "gpt_oss" else 0
                    x = module._apply_gate(x @ up.T + bias).detach()
                inputs.append(x)
            x = torch.cat(inputs)
            if not len(x):
                continue
            reference, ranked = (wanda, "row") if method == "wanda" else (sparsegpt, "uniform")
            expected = reference(weight[expert], x, now[expert] != 0, ranked)
            least = 1e-4 * float(expected.abs().max())
            torch.testing.assert_close(now[expert].double(), expected, rtol=1e-4, atol=least)
            checked[name.rpartition(".")[2]] += 1
    assert min(checked.values()) > 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "pattern"), [("sparsegpt", "2:4"), ("magnitude(scope = uniform)", "block(2, 4)")])
def test_every_expert_has_its_own_zeros_and_pattern_along_its_inputs(kind, method, pattern, tmp_path):
    _, after = pruned(tmp_path, kind, method, pattern)
    assert len(after) == 4
    for stack in after.values():
        for matrix in stack:
            dead = matrix == 0
            assert int(dead.sum()) == dead.numel() // 2
            if pattern == "2:4":
                assert bool((dead.reshape(len(dead), -1, 4).sum(-1) == 2).all())
            else:
                tiles = dead.reshape(len(dead) // 2, 2, -1, 4)
                assert bool((tiles.all(3).all(1) == tiles.any(3).any(1)).all())
    runner = CliRunner().invoke(command_line(), ["verify", str(tmp_path / "out")])
    assert runner.exit_code == 0, runner.output


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_experts_that_no_token_reached_are_named_and_pruned_by_magnitude(method, tmp_path):
    before = make_avoiding(tmp_path)
    recipe = tmp_path / "a.recipe"
    recipe.write_text(RECIPE.replace("METHOD", method).replace("PATTERN", "unstructured"), "utf-8")
    with pytest.warns(RecipeWarning, match=r"W155(.|\n)*reached 4 of 8 experts(.|\n)*experts\[2\]`: no token"):
        recipelang.run(recipe, out=tmp_path / "out")
    avoided = {f"model.layers.{i}.mlp.experts[{e}]" for i in (0, 1) for e in AVOIDED}
    assert read_record(tmp_path / "out")["few_tokens"] == {"shot": dict.fromkeys(avoided, 0)}
    after = dict(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").named_parameters())
    for name, weight in before.named_parameters():
        for expert in AVOIDED if is_stack(name, weight) else ():
            dead = after[name][expert] == 0
            assert int(dead.sum()) == dead.numel() // 2
            if method == "sparsegpt":  # all columns are in one block of it
                assert weight[expert][dead].abs().max() <= weight[expert][~dead].abs().min()
            assert torch.equal(after[name][expert][~dead], weight[expert][~dead])


def test_numbers_of_a_stack_are_those_of_its_experts():
    from fractions import Fraction

    shapes = [(3, 5), (4, 3, 5)]
    assert counts.zeros("unstructured", (0, 0), "uniform", shapes, Fraction(1, 2)) == [8, 4 * 8]
    assert counts.zeros("unstructured", (0, 0), "row", shapes, Fraction(1, 2)) == [3 * 2, 4 * 3 * 2]
    assert counts.zeros("unstructured", (0, 0), "global", shapes, Fraction(1, 2)) == [38]
    assert sum(counts.zeros("unstructured", (0, 0), "erk", shapes, Fraction(1, 2))) == 38


def test_padding_and_tokens_of_others_are_left_out():
    module = torch.nn.Module()
    module.gate_up_proj = torch.nn.Parameter(torch.randn(2, 6, 4))
    states, routes = torch.randn(6, 4), torch.tensor([[0], [1], [0], [1], [0], [0]])
    keep = torch.tensor([[True, True, False], [True, True, False]])
    found = expert_inputs(Target(module, "gate_up_proj", 0), (states, routes), keep)
    assert torch.equal(found, states[[0, 4]])
    assert torch.equal(expert_inputs(Target(module, "gate_up_proj", 1), (states, routes), None), states[[1, 3]])


def test_patterns_of_stacks_and_of_turned_matrices_are_found_along_their_inputs(tmp_path):
    live = torch.ones(2, 8, 4)
    live[..., :2] = 0  # 2:4 along the last axis
    tensors = {"stack": live.contiguous(), "turned": live[0].T.contiguous()}
    save_file(tensors, tmp_path / "a.safetensors")
    found = dict(count(tmp_path / "a.safetensors", (), ("turned",)))
    assert ("N:M", (2, 4)) in found["stack"].patterns and ("N:M", (2, 4)) in found["turned"].patterns
    assert ("N:M", (2, 4)) not in dict(count(tmp_path / "a.safetensors"))["turned"].patterns
    assert found["stack"].zeros == 2 * 8 * 2
