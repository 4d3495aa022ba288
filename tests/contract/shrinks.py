"""The rows of `shrink` on the page of the contract: every axis and ranking on small models, and the recipes that try them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recipelang.engine import stages
from recipelang.engine.shrink import Left
from recipelang.kinds.sizes import RANKINGS
from tests.contract.table import UPDATE, yes
from tests.decoders import make_text
from tests.model_table import tokenizer
from tests.model_types import config_of

HEAD = """
## Shrinking

`shrink` removes units of an axis, ranked by what `by` names, at once (`mode = one_shot`) or in rounds while training.

- **exact**: at once, in rounds and in bf16, every parameter of the result has the planned shape, `from_pretrained` loads
  it, and it has as many parameters as planned.
- **resumed**: an interrupted and resumed run equals an uninterrupted run bit for bit on a CPU: before the cut, after
  it, and between rounds. So does a repeated run.
- **in parts**, **copies**: batches that are cut into micro-batches, and two processes with a copy of the model each,
  keep the same units as one process with whole batches. (At once, `micro_batch` is the size of a batch, and `taylor`
  squares the change of each batch.)
- With `--shard` (`E055`) and `--offload` (`E223`) every row is refused. `layers` are ranked by data whatever `by` is.

"""
COLUMNS = ("model", "axes", "by", "exact", "resumed", "in parts", "copies", "refused, or why it is so")
#: a type -> what makes it small enough and uneven enough, and its sizes after shrinking, by axis
MODELS = {"bert": "masked_lm", "llama": "causal_lm", "mixtral": "causal_lm"}
SIZES = {
    "ffn": "ffn -> 50%",
    "heads": "heads -> 4",
    "hidden": "hidden -> 24",
    "experts": "experts -> 2",
    "layers": "layers -> 2",
}
_EVERY = "ffn", "heads", "hidden", "experts", "layers", "heads, hidden", "ffn, heads, hidden, layers"
#: of mixtures what other types lack
AXES = {kind: ("ffn", "experts", "experts, layers") if kind == "mixtral" else _EVERY for kind in MODELS}

RECIPE = """recipe 1 "contract"
model {{ base = "{kind}", task = {task}{dropout} }}
data {{ train = "train.jsonl", max_length = 16 tokens, samples = 24 samples }}
"""
AT_ONCE = """stage dense {{ length = 2 steps, batch = 8, learning_rate = 1e-3 }}
stage slim {{
  mode = one_shot{more}
  shrink body {{ axes = [{sizes}], by = {by}{multiple} }}
}}
stage recover {{
  length = 2 steps
  batch = 8{more}
  learning_rate = 1e-3
}}
"""
IN_ROUNDS = """stage slim {{
  length = 4 steps
  batch = 8{more}
  checkpoint_every = 1 step
  learning_rate = 1e-3
  shrink body {{ axes = [{sizes}], by = {by}{multiple}, rounds = 2, every = 2 steps }}
}}
"""
HOW = {"at once": AT_ONCE, "in rounds": IN_ROUNDS}
#: what a stage is given -> more of it
MORE = {"whole": "", "in parts": "\n  micro_batch = 4", "bf16": "\n  precision = bf16"}


@dataclass(frozen=True)
class Row:
    model: str
    axes: str
    by: str

    def __str__(self) -> str:
        return f"{self.model}-{self.axes.replace(', ', '+')}-{self.by}"


def rows() -> list[Row]:
    return [Row(kind, axes, by) for kind in MODELS for axes, by in itertools.product(AXES[kind], RANKINGS)]


def tried() -> list[Row]:
    """Each axis once, with another type and ranking each time, and one that is refused; `make contract` and an update of
    the page take all."""
    if UPDATE or os.environ.get("RECIPELANG_WHOLE_CONTRACT"):
        return rows()
    every = list(dict.fromkeys(axes for kind in MODELS for axes in AXES[kind]))
    found = [Row("bert", "experts", "activation")]
    for i, axes in enumerate(every):
        of = [kind for kind in MODELS if axes in AXES[kind] and (axes != "experts" or kind == "mixtral")]
        found.append(Row(of[i % len(of)], axes, [*RANKINGS][i % len(RANKINGS)]))
    return found


def make_models(folder: Path) -> None:
    """Every type with random weights, and texts for all."""
    import torch
    import transformers

    for kind, task in MODELS.items():
        torch.manual_seed(0)
        config = config_of(kind)
        sizes = {
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 8,
            "head_dim": 6,
        }
        for key, value in sizes.items():
            if hasattr(config, key):
                setattr(config, key, value)
        classes = {"masked_lm": transformers.AutoModelForMaskedLM, "causal_lm": transformers.AutoModelForCausalLM}
        classes[task].from_config(config).save_pretrained(folder / kind)
        tokenizer(folder / kind, config.vocab_size, False)
    make_text(folder / "train.jsonl", 40)


def recipe(folder: Path, row: Row, how: str, more: str = "whole") -> Path:
    sizes = ", ".join(SIZES[axis] for axis in row.axes.split(", "))
    dropout = "" if row.model != "bert" else ", dropout = 0%, attention_dropout = 0%"
    text = RECIPE.format(kind=row.model, task=MODELS[row.model], dropout=dropout)
    multiple = ", multiple_of = 8" if {"ffn", "hidden"} & {*row.axes.split(", ")} else ""
    text += HOW[how].format(sizes=sizes, by=row.by, multiple=multiple, more=MORE[more])
    path = folder / f"{row} {how} {more}.recipe"
    path.write_text(text, "utf-8")
    return path


def line(row: Row, *, exact: bool = False, copies: str = "-", why: str = "") -> str:
    cells = [f"`{row.model}`", f"`{row.axes}`", f"`{row.by}`", yes(exact), yes(exact), yes(exact), copies, why]
    return f"| {' | '.join(cells)} |"


@contextmanager
def watched(into: list[object]) -> Iterator[None]:
    """Which units and layers stay, at each cut."""
    choose = stages.choose

    def look(*given: Any) -> Left:
        left = choose(*given)
        into.append(({" ".join(key): units.tolist() for key, units in left.units.items()}, [*left.layers]))
        return left

    with pytest.MonkeyPatch.context() as here:
        here.setattr(stages, "choose", look)
        yield
