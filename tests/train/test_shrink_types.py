"""Every type that the plan lets shrink computes what it computes with the same units silenced, and loads again.

`RECIPELANG_EVERY_TYPE=1` tries all types of `tests/model_types.py`, as `make models` does.
"""

from __future__ import annotations

import os
from fractions import Fraction

import pytest
import torch

from recipelang.engine.shrink import can_shrink
from recipelang.engine.worth import Read
from recipelang.planning.facts import read_model_facts
from recipelang.planning.shrink import before, plan_shrink
from recipelang.source import RecipeError
from recipelang.spec.controls import ShrinkSpec
from recipelang.values.composite import Size
from tests.model_configs import walk_here
from tests.model_heads import heads
from tests.model_table import make
from tests.model_types import TYPES

from .steps import shrink
from .test_shrink import Rows, logits

HALF = Fraction(1, 2)
SETS = {
    "ffn": {"ffn": HALF},
    "heads": {"heads": HALF},
    "hidden": {"hidden": HALF},
    "both": {"heads": HALF, "hidden": HALF},
    "layers": {"layers": 1},
    "all": {"ffn": HALF, "heads": HALF, "hidden": HALF, "layers": 1},
}
SAMPLE = ["modernbert", "opt", "gpt2", "olmo2", "t5", "bart"]
EVERY = [kind for kind in TYPES if kind not in ("reformer", "xlnet", "cohere_compass_text")]  # made otherwise
KINDS = EVERY if os.environ.get("RECIPELANG_EVERY_TYPE") else SAMPLE
#: what the plan lets the sample do; everything else is refused by a code
WORKS = {
    "modernbert": {"ffn"},
    "opt": {"ffn", "layers"},
    "gpt2": {"ffn", "layers"},
    "t5": {"ffn"},
    "bart": {"ffn"},
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
            if len(reshape.shape) == 2 and cut.dim == inputs and cut.axis in ("ffn", "heads"):
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
            plan, left = plan_shrink(spec, facts, ())
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
