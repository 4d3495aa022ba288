"""`drop layers`: a model of some of another's layers, with their weights."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from recipelang.planning.layers import config_with_layers

#: the number of a layer in the name of a parameter, in every family
_LAYER = re.compile(r"(?:^|\.)(layers?)\.(\d+)\.")


def keep_layers(model: nn.Module, keep: tuple[int, ...]) -> nn.Module:
    """A transformers model made anew with as many layers, so that nothing in it remembers the old numbers."""
    old: Any = model.config
    config = type(old)(**config_with_layers(old.to_dict(), keep))
    config._attn_implementation = old._attn_implementation
    with torch.random.fork_rng():  # its first weights are drawn and thrown away: the run's own stream stays
        small = type(model)(config)
        if getattr(model, "pooler", small) is None:
            small.pooler = None  # type: ignore[assignment]
    state = {name: tensor for before, tensor in model.state_dict().items() if (name := renumbered(before, keep))}
    small.load_state_dict(state)
    return small.to(next(model.parameters()).dtype).eval()


def renumbered(name: str, keep: tuple[int, ...]) -> str | None:
    """A parameter's name in the smaller model, none where its layer is gone.

    >>> renumbered("bert.encoder.layer.5.output.dense.weight", (1, 3, 5)), renumbered("model.layers.2.mlp.up", (1, 3))
    ('bert.encoder.layer.2.output.dense.weight', None)
    """
    found = _LAYER.search(name)
    if found is None:
        return name
    layer = int(found[2])
    return f"{name[: found.start(2)]}{keep.index(layer)}{name[found.end(2) :]}" if layer in keep else None
