"""Experts of a mixture are pruned one by one, each by the inputs that the router sends it."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file
from typer.testing import CliRunner

import recipelang
from recipelang import RecipeError
from recipelang.cli.main import command_line
from recipelang.engine.layers import Layers
from recipelang.engine.records import read_record
from recipelang.loops.notices import RecipeWarning
from recipelang.planning import counts
from recipelang.planning.data import load_split
from recipelang.planning.zeros import count
from recipelang.pruning.inputs import Squares
from recipelang.pruning.matrix_names import expert_of
from recipelang.pruning.stacks import layouts
from tests.expert_inputs import caught, compare
from tests.layer_walks import Texts
from tests.mixtures import AVOIDED, make_avoiding
from tests.model_configs import walk_here
from tests.model_heads import TASKS, heads
from tests.model_table import Targets, make
from tests.model_types import config_of
from tests.train.test_one_shot_references import SPARSEGPT, sparsegpt, wanda

#: stored one by one; inputs first with biases; inputs first, each expert given all tokens; tokens sorted by expert; one
#: below the other in two dimensions; with shared experts in a stack -> kinds of stacks in them
STACKS = {"mixtral": 2, "gpt_oss": 2, "llama4_text": 2, "jetmoe": 4, "dbrx": 3, "inkling_text": 5}
KINDS = tuple(STACKS)

RECIPE = """recipe 1 "experts"
seed = 1
model { base = "model", task = causal_lm }
data { train = "data.jsonl", validation = "data.jsonl", max_length = 16 tokens, samples = 8 samples }
stage shot {
  mode = one_shot
  prune weights {
    targets  = @linear & @decoder & ("**expert**" | "**.{input,output}_linear.weight") except @router
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
    """The model before, and its experts after."""
    before = make(folder, kind, "causal_lm").eval()
    recipe = folder / "a.recipe"
    recipe.write_text(RECIPE.replace("METHOD", method).replace("PATTERN", pattern), "utf-8")
    recipelang.run(recipe, out=folder / "out")
    after = transformers.AutoModelForCausalLM.from_pretrained(folder / "out")
    return before, stacks(after)


def stacks(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Name -> [experts, outputs, inputs]."""
    parameters = dict(model.named_parameters())
    return {n: how.matrices(parameters[n].detach()) for n, how in layouts(model).items() if how.experts}


def make_model(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return getattr(transformers, TASKS[heads()[kind][0]]).from_config(config_of(kind)).eval()


@pytest.mark.parametrize(
    ("kind", "method"), [*((k, "wanda") for k in KINDS), *((k, "sparsegpt") for k in ("mixtral", "gpt_oss", "dbrx"))]
)
def test_experts_are_what_the_papers_say_of_the_tokens_of_each(kind, method, tmp_path):
    """References in double precision, of inputs that plain passes through the whole model show."""
    written = "wanda(scope = row)" if method == "wanda" else SPARSEGPT
    model, after = pruned(tmp_path, kind, f"{written}\n    order = parallel")
    data = recipelang.plan(tmp_path / "a.recipe").data[0]
    _, features = load_split(data, "train", tmp_path / "model")  # blocks of text without padding
    assert len(features) == 8
    with caught(model) as read:
        for row in range(8):
            model(input_ids=torch.from_numpy(features.batch([row])["input_ids"]), use_cache=False)
    before = stacks(model)
    checked = Counter()
    for name, now in after.items():
        for expert, weight in enumerate(before[name].double()):
            if (rows := read.get(f"{name}[{expert}]")) is None:
                continue
            x = torch.cat(rows).double()
            reference, ranked = (wanda, "row") if method == "wanda" else (sparsegpt, "uniform")
            expected = reference(weight, x, now[expert] != 0, ranked)
            least = 1e-4 * float(expected.abs().max())
            torch.testing.assert_close(now[expert].double(), expected, rtol=1e-4, atol=least)
            checked[re.sub(r"\.\d+\.", ".*.", name)] += 1
    assert len(checked) == STACKS[kind] and min(checked.values()) > 3


@pytest.mark.parametrize("kind", sorted({*KINDS, "aria_text", "granitemoe"} - {"jetmoe"}))
def test_experts_read_the_tokens_that_a_plain_pass_sends_them_padding_left_out(kind):
    model = make_model(kind)
    assert len(compare(model, Texts((12, 9, 12, 5, 7)))) >= 8


def test_experts_that_are_modules_need_no_token():
    model = make_model("switch_transformers")
    for router in (m for m in model.modules() if hasattr(m, "classifier")):
        torch.nn.init.zeros_(router.classifier.weight)  # all to the first
    names = [n for n, _ in model.encoder.named_parameters(prefix="encoder") if ".experts." in n]
    (found,) = Layers(model, Targets((12, 12)), (), 2, nullcontext, lambda done, of: None)(names, Squares, "parallel")
    assert {n: g.tokens for n, g in found.items()} == {n: 24 * ("expert_0" in n) for n in names}
    assert {expert_of(n) for n in names} == {f"encoder.block.1.layer.1.mlp.experts.expert_{i}" for i in range(4)}


def test_tokens_that_are_sorted_by_expert_are_refused_with_padding():
    model = make_model("jetmoe")
    assert len(compare(model, Texts((12, 12, 12)))) == 32
    with pytest.raises(RecipeError, match=r"E055(.|\n)*except @experts"):
        compare(model, Texts((12, 9)))


@pytest.mark.parametrize(
    ("kind", "method", "pattern"),
    [
        *((k, "sparsegpt", "2:4") for k in ("mixtral", "gpt_oss")),
        *((k, "wanda", "2:4") for k in ("llama4_text", "jetmoe", "dbrx", "inkling_text")),
        *((k, "magnitude(scope = uniform)", "block(2, 4)") for k in ("mixtral", "gpt_oss", "dbrx")),
    ],
)
def test_every_expert_has_its_own_zeros_and_pattern_along_its_inputs(kind, method, pattern, tmp_path):
    _, after = pruned(tmp_path, kind, method, pattern)
    assert len(after) == 2 * STACKS[kind]  # of two layers
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
    before = stacks(make_avoiding(tmp_path))
    recipe = tmp_path / "a.recipe"
    recipe.write_text(RECIPE.replace("METHOD", method).replace("PATTERN", "unstructured"), "utf-8")
    with pytest.warns(RecipeWarning, match=r"W155(.|\n)*reached 4 of 8 experts(.|\n)*experts\[2\]`: no token"):
        recipelang.run(recipe, out=tmp_path / "out")
    avoided = {f"model.layers.{i}.mlp.experts[{e}]" for i in (0, 1) for e in AVOIDED}
    assert read_record(tmp_path / "out")["few_tokens"] == {"shot": dict.fromkeys(avoided, 0)}
    after = stacks(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out"))
    for name, weight in before.items():
        for expert in AVOIDED:
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


def test_a_stack_of_which_nothing_says_how_it_lies_is_none():
    class Experts(torch.nn.Module):
        def __init__(self, up: tuple[int, ...], down: tuple[int, ...]) -> None:
            super().__init__()
            self.gate_up_proj, self.down_proj = (torch.nn.Parameter(torch.zeros(2, *s)) for s in (up, down))

    def turned(up: tuple[int, ...], down: tuple[int, ...]) -> set[bool]:
        return {how.inputs_first for how in layouts(torch.nn.ModuleDict({"experts": Experts(up, down)})).values()}

    assert turned((12, 4), (4, 6)) == {False} and turned((4, 12), (6, 4)) == {True}
    assert turned((8, 4), (4, 4)) == {False} and turned((4, 8), (4, 4)) == {True}
    assert turned((6, 4), (4, 6)) == set()


def test_patterns_of_stacks_and_of_turned_matrices_are_found_along_their_inputs(tmp_path):
    live = torch.ones(2, 8, 4)
    live[..., :2] = 0  # 2:4 along the last axis
    tensors = {"stack": live.contiguous(), "turned": live[0].T.contiguous()}
    save_file(tensors, tmp_path / "a.safetensors")
    found = dict(count(tmp_path / "a.safetensors", (), ("turned",)))
    assert ("N:M", (2, 4)) in found["stack"].patterns and ("N:M", (2, 4)) in found["turned"].patterns
    assert ("N:M", (2, 4)) not in dict(count(tmp_path / "a.safetensors"))["turned"].patterns
    assert found["stack"].zeros == 2 * 8 * 2
