"""Every type that the plan lets shrink computes what it computes with the same units silenced, and loads again.

`RECIPELANG_EVERY_TYPE=1` tries all types of `tests/model_types.py`, as `make models` does.
"""

from __future__ import annotations

import os
from fractions import Fraction

import pytest
import torch

from recipelang.engine.roles import stacks_of
from recipelang.engine.shrink import can_shrink, smaller
from recipelang.engine.worth import Read
from recipelang.planning.facts import read_model_facts
from recipelang.planning.shrink import before, kept_layers, plan_shrink
from recipelang.source import RecipeError
from recipelang.spec.controls import ShrinkSpec
from recipelang.values.composite import Size
from tests.model_configs import walk_here
from tests.model_heads import heads
from tests.model_table import make
from tests.model_types import TYPES, config_of

from .steps import chosen, shrink
from .test_shrink import CLASSES, Rows, logits

HALF = Fraction(1, 2)
SETS = {
    "ffn": {"ffn": HALF},
    "heads": {"heads": HALF},
    "hidden": {"hidden": HALF},
    "both": {"heads": HALF, "hidden": HALF},
    "layers": {"layers": 1},
    "all": {"ffn": HALF, "heads": HALF, "hidden": HALF, "layers": 1},
}
SAMPLE = ["modernbert", "opt", "gpt2", "olmo2", "t5", "bart", "marian", "phi3", "gpt_neox", "falcon", "distilbert"]
EVERY = [kind for kind in TYPES if kind not in ("reformer", "xlnet", "cohere_compass_text")]  # made otherwise
KINDS = EVERY if os.environ.get("RECIPELANG_EVERY_TYPE") else SAMPLE
#: what the plan lets the sample do; everything else is refused by a code
WORKS = {
    "modernbert": {"ffn", "both"},
    "opt": {"ffn", "both", "layers", "all"},
    "gpt2": {"ffn", "both", "layers", "all"},
    "gpt_neox": {"ffn", "both", "layers", "all"},
    "falcon": {"ffn", "both", "layers", "all"},
    "phi3": {*SETS},
    "distilbert": {"ffn", "both", "layers", "all"},
    "t5": {*SETS},
    "bart": {"ffn", "both", "layers", "all"},
    "marian": {"ffn", "both"},
    "olmo2": {"ffn", "hidden", "layers"},
}


class Pairs(Rows):
    """Texts with texts to write, one of them padded."""

    def batch(self, rows):
        found = super().batch(rows)
        labels = found["input_ids"][:, ::-1].copy()
        labels[-1, 6:] = -100
        return {**found, "labels": labels}


def task_of(kind: str) -> str:
    wanted = ("masked_lm", "causal_lm", "text_to_text", "sequence_classification", "token_classification")
    return next(t for t in wanted if t in heads()[kind])


def silenced(model: torch.nn.Module, small: torch.nn.Module, plan, rows) -> torch.Tensor:
    """What the model computes where the inputs of each matrix behind a block are those of the units that stay."""
    hooks = []
    for reshape in plan.reshapes:
        for cut in reshape.cuts:
            name = reshape.name.rpartition(".")[0]
            module = model.get_submodule(name)
            inputs = 0 if type(module).__name__ == "Conv1D" else 1
            table = isinstance(module, torch.nn.Embedding)  # of how far back heads look
            if len(reshape.shape) == 2 and cut.dim == inputs and cut.axis in ("ffn", "heads") and not table:
                hooks.append(
                    module.register_forward_pre_hook(_only(module.weight, small.get_submodule(name).weight, inputs))
                )
    try:
        return logits(model, rows)
    finally:
        for hook in hooks:
            hook.remove()


def _only(weight: torch.Tensor, left: torch.Tensor, inputs: int):
    """Places of the larger matrix that the smaller one has, in order: rows of random numbers are told apart."""
    here, there = (w if inputs == 0 else w.T for w in (weight, left))
    stays = torch.tensor([bool((there == row).all(1).any()) for row in here])
    assert int(stays.sum()) == len(there)
    return lambda module, args: (args[0] * stays, *args[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_plan_lets_shrink_computes_the_same_and_loads(tmp_path, monkeypatch, kind):
    walk_here(monkeypatch)
    model = make(tmp_path, kind, task_of(kind)).eval()
    with torch.no_grad():
        for parameter in (p for p in model.parameters() if p.dim() == 2 and not p.any()):
            parameter.normal_(0, 0.02)  # rows are told apart by their numbers
    facts = read_model_facts(tmp_path / "model", task_of(kind))
    rows = Pairs() if task_of(kind) == "text_to_text" else Rows()
    worked = set()
    for name, axes in SETS.items():
        spec = ShrinkSpec(name="b", axes=tuple(Size(axis, to) for axis, to in axes.items()), by="activation")
        try:
            plan, left = plan_shrink(spec, facts, kept_layers(spec, facts))
            can_shrink(model, plan)
            small, _ = shrink(model, plan, Read(rows, (), 2, torch.no_grad))
        except RecipeError as error:
            assert {d.code for d in error.diagnostics} <= {"E152", "E153", "E191", "E200"}
            continue
        assert {t.name: t.shape for t in before(plan, left).tensors} == {t.name: t.shape for t in facts.tensors}
        out = logits(small, rows)
        if name in ("ffn", "heads"):
            torch.testing.assert_close(out, silenced(model, small, plan, rows), rtol=1e-4, atol=1e-4)
        small.save_pretrained(tmp_path / name)
        assert torch.equal(logits(type(small).from_pretrained(tmp_path / name).eval(), rows), out)
        worked.add(name)
    assert worked == WORKS.get(kind, worked)


#: types with one matrix of queries, keys and values: more of their config, that matrix in layer 0, and the one behind it
FUSED = {
    "gpt2": ("gpt2", {}, "attn.c_attn", "attn.c_proj"),
    "gpt_neox": ("gpt_neox", {}, "attention.query_key_value", "attention.dense"),
    "persimmon": ("persimmon", {}, "self_attn.query_key_value", "self_attn.dense"),
    "modernbert": ("modernbert", {}, "attn.Wqkv", "attn.Wo"),
    "gpt_bigcode": ("gpt_bigcode", {"multi_query": True}, "attn.c_attn", "attn.c_proj"),
    "gpt_bigcode, each head its own": ("gpt_bigcode", {"multi_query": False}, "attn.c_attn", "attn.c_proj"),
    "phi3": ("phi3", {}, "self_attn.qkv_proj", "self_attn.o_proj"),
    "codegen": ("codegen", {"n_head": 8, "n_embd": 64, "n_inner": 48, "rotary_dim": 4}, "attn.qkv_proj", "attn.out_proj"),
    "falcon 7b": ("falcon", {}, "self_attention.query_key_value", "self_attention.dense"),
    "falcon rw": ("falcon", {"multi_query": False}, "self_attention.query_key_value", "self_attention.dense"),
    "falcon 40b": (
        "falcon", {"new_decoder_architecture": True, "num_kv_heads": 2},
        "self_attention.query_key_value", "self_attention.dense",
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", FUSED)
def test_heads_in_one_matrix_attend_as_before_to_the_units_that_stay(tmp_path, monkeypatch, which):
    """What attention puts out for a head depends on the hidden units that stay alone, once the others are zero."""
    kind, more, fused, behind = FUSED[which]
    walk_here(monkeypatch)
    config = config_of(kind)
    for key, value in more.items():
        setattr(config, key, value)
    torch.manual_seed(2)
    task = task_of(kind)
    model = CLASSES[task].from_config(config).eval()
    model.config.use_cache = False
    model.save_pretrained(tmp_path)
    facts = read_model_facts(tmp_path, task)
    spec = ShrinkSpec(name="b", axes=(Size("heads", HALF), Size("hidden", HALF)), by="activation")
    kept = chosen(model, plan_shrink(spec, facts, ())[0], Read(Rows(), (), 2, torch.no_grad))
    small = smaller(model, kept)
    layer = f"{next(stacks_of(model))}.0"
    (hidden,), heads = [u for (axis, _), u in kept.units.items() if axis == "hidden"], kept.units["heads", layer]
    read, put_out, large = [], [], []
    small.get_submodule(f"{layer}.{fused}").register_forward_pre_hook(lambda m, args: read.append(args[0]))
    small.get_submodule(f"{layer}.{behind}").register_forward_pre_hook(lambda m, args: put_out.append(args[0]))
    logits(small)

    def only(module, args):
        whole = torch.zeros_like(args[0])
        whole[..., hidden] = read[0]
        return (whole,)

    model.get_submodule(f"{layer}.{fused}").register_forward_pre_hook(only)
    model.get_submodule(f"{layer}.{behind}").register_forward_pre_hook(lambda m, args: large.append(args[0]))
    logits(model)
    places = (heads[:, None] * 8 + torch.arange(8)).flatten()
    torch.testing.assert_close(put_out[0], large[0][..., places])
    assert len(heads) == config.num_attention_heads // 2 and put_out[0].shape[-1] == 8 * len(heads)
    if kind == "codegen":
        assert (heads.view(4, -1) // 2).tolist() == [[i] for i in range(4)]  # of each part one
