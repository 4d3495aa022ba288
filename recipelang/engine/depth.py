"""`drop layers`: a model of some of another's layers, with their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from recipelang.engine.roles import stacks_of
from recipelang.planning.layers import config_with_layers


def keep_layers(model: nn.Module, keep: tuple[int, ...]) -> nn.Module:
    """A transformers model made anew with as many layers, so that nothing in it remembers the old numbers."""
    old: Any = model.config
    config = type(old)(**config_with_layers(old.to_dict(), keep))
    config._attn_implementation = old._attn_implementation
    with torch.random.fork_rng():  # its first weights are drawn and thrown away: the run's own stream stays
        small = type(model)(config)
        if getattr(model, "pooler", small) is None:
            small.pooler = None  # type: ignore[assignment]
    stacks = list(stacks_of(model))
    state = {new: tensor for name, tensor in model.state_dict().items() if (new := renumbered(name, stacks, keep))}
    small.load_state_dict(state)
    return small.to(next(model.parameters()).dtype).eval()


def renumbered(name: str, stacks: Sequence[str], keep: tuple[int, ...]) -> str | None:
    """A parameter's name in the smaller model, none where its layer is gone.

    >>> stacks = ["bert.encoder.layer"]
    >>> renumbered("bert.encoder.layer.5.output.dense.weight", stacks, (1, 3, 5))
    'bert.encoder.layer.2.output.dense.weight'
    >>> renumbered("bert.encoder.layer.2.output.dense.weight", stacks, (1, 3)), renumbered("pooler.0.bias", stacks, (1, 3))
    (None, 'pooler.0.bias')
    """
    stack = next((s for s in stacks if name.startswith(f"{s}.")), None)
    if stack is None:
        return name
    number, _, inside = name[len(stack) + 1 :].partition(".")
    return f"{stack}.{keep.index(int(number))}.{inside}" if int(number) in keep else None
