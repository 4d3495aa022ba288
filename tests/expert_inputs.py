"""What the matrices of experts really read in a plain forward pass, caught where they are multiplied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from recipelang.engine.layers import Layers
from recipelang.pruning.inputs import Gram
from recipelang.pruning.matrix_names import names_of
from recipelang.pruning.stacks import layouts

_PRODUCTS = ("linear", "matmul", "__matmul__", "bmm")


class _Caught(TorchFunctionMode):
    def __init__(self, model: Any) -> None:
        super().__init__()
        parameters = dict(model.named_parameters())
        self.stacks = {
            parameters[name].untyped_storage().data_ptr(): (name, parameters[name].numel() // layout.experts)
            for name, layout in layouts(model).items()
            if layout.experts
        }
        self.rows: dict[str, list[torch.Tensor]] = {}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") in _PRODUCTS:
            x, weight = args[:2]
            if found := self.stacks.get(weight.untyped_storage().data_ptr()):
                name, size = found
                first = weight.storage_offset() // size
                for i, one in enumerate(x if weight.dim() == 3 else x[None]):
                    rows = one.detach().flatten(0, -2)
                    self.rows.setdefault(f"{name}[{first + i}]", []).append(rows[rows.any(-1)].clone())
        return function(*args, **(kwargs or {}))


@contextmanager
def caught(model: Any) -> Iterator[dict[str, list[torch.Tensor]]]:
    """By the names of matrices, the rows that each multiplies; rows of zeros are left out."""
    model.config._experts_implementation = "eager"
    with _Caught(model) as mode, torch.no_grad():
        yield mode.rows


def compare(model: Any, texts: Any) -> set[str]:
    """Fails where a matrix of a stack reads other tokens, taken layer by layer, than in passes without padding; their names."""
    model.config.use_cache = False
    parameters = dict(model.named_parameters())
    lying = {n: how.seen(parameters[n].shape) for n, how in layouts(model).items() if how.experts}
    names = [matrix for n, shape in lying.items() for matrix in names_of(n, shape)]
    found = {}
    with caught(model) as rows:
        for row in range(len(texts)):
            model(**{k: torch.from_numpy(v) for k, v in texts.batch([row]).items()})
    for gathered in Layers(model, texts, (), 8, nullcontext, lambda done, of: None)(names, Gram, "parallel"):
        found |= gathered
    assert found.keys() == set(names)
    for name, gathered in found.items():
        x = torch.cat(rows.get(name, [torch.zeros(0, len(gathered.sums))]))
        assert gathered.tokens == len(x), name
        torch.testing.assert_close(gathered.sums, x.T @ x, rtol=1e-4, atol=1e-4, msg=name)
    return set(names) & rows.keys()
