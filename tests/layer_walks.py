"""What every matrix reads, taken layer by layer and in a plain pass through the whole model: the two are equal bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from recipelang.engine.layers import Layers, tokens_of
from recipelang.pruning.inputs import Gathered


class Inputs(Gathered):
    """Every portion as it came."""

    def __init__(self) -> None:
        super().__init__(torch.zeros(()))
        self.all: list[torch.Tensor] = []

    @classmethod
    def empty(cls, inputs: int, device: torch.device) -> Inputs:
        return cls()

    def add(self, inputs: torch.Tensor) -> None:
        self.all.append(inputs.clone())


class Texts:
    """Random words of several lengths, padded at the right."""

    def __init__(self, lengths: tuple[int, ...]) -> None:
        draw = np.random.default_rng(0)
        self.lengths = np.array(lengths)
        self.ids = draw.integers(3, 64, (len(lengths), max(lengths)))

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows):
        width = int(self.lengths[rows].max())
        mask = np.arange(width) < self.lengths[rows][:, None]
        ids = np.where(mask, self.ids[rows, :width], 0)
        ids[np.arange(len(ids)), self.lengths[rows] - 1] = 2  # some heads look for the end
        return {"input_ids": ids, "attention_mask": mask.astype(np.int64)}


def plain(model: nn.Module, names: Sequence[str], texts: Any, batch: int) -> dict[str, list[torch.Tensor]]:
    """What each matrix reads in passes through the whole model, padding left out."""
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    keep = torch.ones(())
    tables: set[str] = set()  # matrices that read one table for several sequences

    def look(name: str):
        def before(module, args):
            if args[0].shape[0] == 1 < len(keep):
                tables.add(name)
            seen[name].append(tokens_of(name, args[0], None if name in tables and len(args[0]) == 1 else keep).clone())

        return before

    handles = [model.get_submodule(n.removesuffix(".weight")).register_forward_pre_hook(look(n)) for n in names]
    for first in range(0, len(texts), batch):
        rows = np.arange(first, min(first + batch, len(texts)))
        given = {k: torch.from_numpy(v) for k, v in texts.batch(rows).items()}
        keep = given["attention_mask"].bool().flatten(0, -2)  # choices of a question are rows of the states
        with torch.no_grad():
            model(**given)
    for handle in handles:
        handle.remove()
    return seen


def compare(model: nn.Module, names: Sequence[str], texts: Any, batch: int = 2) -> list[str]:
    """The matrices that a plain pass calls; fails at the first that reads something else taken layer by layer."""
    expected = plain(model, names, texts, batch)
    called = [name for name in names if expected[name]]
    walk = Layers(model, texts, (), batch, nullcontext, lambda done, of: None)
    found = {name: inputs for layer in walk(called, Inputs, "sequential") for name, inputs in layer.items()}
    assert found.keys() == set(called)
    for name in called:
        assert len(found[name].all) == len(expected[name]) >= -(-len(texts) // batch), name
        assert all(torch.equal(x, y) for x, y in zip(found[name].all, expected[name], strict=True)), name
    return called
