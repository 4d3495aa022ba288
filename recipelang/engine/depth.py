"""`drop layers`: a model of some of another's layers, with their weights."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from recipelang.engine.roles import stacks_of
from recipelang.planning.layers import Keep, config_with_layers, keep_of, other_layers, renumbered
from recipelang.source import RecipeError

#: what a module remembers of the number of its layer
_NUMBER = re.compile(r"\w*(layer|block)_?(idx|index|id|number|num)|idx|index|training")


def keep_layers(model: nn.Module, keep: Keep) -> nn.Module:
    """A transformers model made anew with as many layers, so that nothing in it remembers the old numbers.

    E200 where a layer would not compute in its new place what it computed in the old one.
    """
    old: Any = model.config
    stacks = list(stacks_of(model))
    try:
        small = made_anew(model, config_with_layers(old.to_dict(), keep))
        for stack in stacks:
            for place, number in enumerate(keep_of(stack, keep)):
                alike(old.model_type, model, small, f"{stack}.{number}", f"{stack}.{place}")
        state = {new: tensor for name, tensor in model.state_dict().items() if (new := renumbered(name, stacks, keep))}
        small.load_state_dict(state)
    except RecipeError:
        raise
    except Exception as error:  # each class refuses in its own way what it cannot be
        raise other_layers(old.model_type, textwrap.shorten(str(error) or type(error).__name__, 200)) from None
    return small.to(next(model.parameters()).dtype).eval()


def made_anew(model: nn.Module, config: Mapping[str, Any]) -> nn.Module:
    """A model of the same class, of another config, with weights of no meaning: none at all where `model` has none."""
    from accelerate import init_empty_weights

    made = type(model.config)(**config)
    made._attn_implementation = model.config._attn_implementation  # type: ignore[union-attr]
    absent = next(model.parameters()).is_meta
    # its first weights are drawn and thrown away: the run's own stream stays
    with torch.random.fork_rng(), init_empty_weights(include_buffers=False) if absent else nullcontext():
        small = type(model)(made)
    small.tie_weights()  # type: ignore[operator]  # without weights the library leaves it for later
    if getattr(model, "pooler", small) is None:
        small.pooler = None  # type: ignore[assignment]
    if getattr(model, "generation_config", None) is not None:
        small.generation_config = model.generation_config  # what it was told of writing, beyond its config
    return small


def alike(kind: str, model: nn.Module, small: nn.Module, old: str, new: str, *, sizes: bool = True) -> None:
    """E200 unless the modules of two layers are of the same classes, with the same settings and tables.

    Without `sizes`, whole numbers may differ.
    """
    before, after = (dict(x.get_submodule(p).named_modules()) for x, p in ((model, old), (small, new)))
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if type(one) is not type(other):
            raise other_layers(kind, f"`{old}.{name}` would be {type(other).__name__}, not {type(one).__name__}")
        for key, value in vars(one).items():
            plain = value is None or isinstance(value, bool | int | float | str)
            whole = isinstance(value, int) and not isinstance(value, bool)
            there = getattr(other, key, None)  # of what was switched off again the class may tell
            if plain and (sizes or not whole) and not _NUMBER.fullmatch(key) and there != value:
                place = f"{old}.{name}.{key}".replace("..", ".")
                raise other_layers(kind, f"`{place}` is {value}, and would be {there}")
        tables = dict(other.named_buffers(recurse=False)) if other is not None else {}
        for key, table in one.named_buffers(recurse=False) if one is not None else ():
            if (not sizes and table.shape != tables[key].shape) or table.is_meta:
                continue
            if not torch.equal(table, tables[key].to(table)):
                raise other_layers(kind, f"`{old}.{name}.{key}` would hold other numbers".replace("..", "."))
