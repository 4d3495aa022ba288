"""`shrink`: the units of a model that matter most, and a smaller model that is made of them.

Which units those are, `engine.worth` says.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.cuts import taken
from recipelang.engine.depth import alike, made_anew
from recipelang.engine.roles import layer_of, stacks_of
from recipelang.engine.routed import can_be_seen, unreached
from recipelang.engine.worth import Worth
from recipelang.kinds.sizes import RANKINGS
from recipelang.planning.layers import config_with_layers, renumbered
from recipelang.planning.shrink_plan import CutPlan, ShrinkPlan
from recipelang.pruning.masks import Masks
from recipelang.source import RecipeError, fail


@dataclass(frozen=True)
class Left:
    """What stays of a model, by its plan."""

    plan: ShrinkPlan
    units: Mapping[tuple[str, str], Tensor]  # axis and layer -> the units that stay, in order
    layers: tuple[int, ...]  # by their numbers in the larger model
    stacks: Sequence[str]
    names: Mapping[str, str]  # as `_canonical`
    unreached: Sequence[str] = ()  # experts that no token of the data was sent to

    def renamed(self, name: str) -> str | None:
        """A parameter's name in the smaller model, none where its layer is gone."""
        gone = self.plan.to("layers") is not None
        return renumbered(name, self.stacks, {"": self.layers}) if gone else name

    def taken(self, name: str, tensor: Tensor) -> Tensor:
        """What stays of a tensor that has the shape of a parameter."""
        own = self.names.get(name, name)
        for cut in next((r.cuts for r in self.plan.reshapes if r.name == own), ()):
            where = "" if cut.axis == "hidden" else layer_of(own, self.stacks)
            tensor = taken(tensor, cut, self.units[cut.axis, where])
        return tensor

    def buffer(self, name: str, table: Tensor, shape: Sequence[int]) -> Tensor:
        """What stays of a buffer that shall have this shape: beside a router it has a place for each expert."""
        units = self.units.get(("experts", layer_of(name, self.stacks)))
        if units is not None and len(shape) == 1 == table.dim() and len(table) != shape[0] == len(units):
            table = taken(table, CutPlan(dim=0, axis="experts"), units)
        return table


def choose(model: nn.Module, plan: ShrinkPlan, worth: Worth) -> Left:
    """Which units and layers stay, by what they are worth."""
    chosen = {key: _best(scores, plan, key[0]) for key, scores in worth.items() if key[0] != "layers"}
    stacks = list(stacks_of(model))
    depth = len(model.get_submodule(stacks[0]))  # type: ignore[arg-type]
    layers = _layers(worth["layers", ""], plan) if plan.to("layers") else tuple(range(depth))
    chosen, layers = processes.first((chosen, layers))  # another may have rounded otherwise
    return Left(plan, chosen, layers, stacks, _canonical(model), unreached(plan, worth, stacks))


@torch.no_grad()
def smaller(model: nn.Module, kept: Left) -> nn.Module:
    """The model that is left, on the same device."""
    small = empty_like(model, kept.plan, kept.layers)
    everything = model.state_dict().items()
    state = {new: kept.taken(old, tensor) for old, tensor in everything if (new := kept.renamed(old)) is not None}
    state |= {n: kept.buffer(n, state[n], table.shape) for n, table in small.named_buffers() if n in state}
    try:
        small.load_state_dict(state)
    except RuntimeError as error:  # a buffer that no plan knows of
        raise _another(model, textwrap.shorten(str(error), 200)) from None
    return small


@torch.no_grad()
def cut_masks(masks: Masks, kept: Left, small: nn.Module) -> None:
    """Masks of the larger model become those of the smaller one."""
    named = [(kept.renamed(name), name, mask) for name, _, mask in masks]
    masks.drop([name for _, name, _ in named])
    left = {new: kept.taken(old, mask) for new, old, mask in named if new is not None}
    masks.load(left, dict(small.named_parameters()))


def empty_like(model: nn.Module, plan: ShrinkPlan, layers: Sequence[int] = ()) -> nn.Module:
    """The smaller model with weights of no meaning. `layers`: of the larger model, those in it; none: the first ones."""
    old: Any = model.config
    stacks = list(stacks_of(model))
    size = plan.to("layers")
    kept = tuple(layers) or tuple(range(size.after if size else len(model.get_submodule(stacks[0]))))  # type: ignore[arg-type]
    known, called = old.to_dict(), getattr(old, "attribute_map", {})
    config = {**known, **{called.get(k, k): v for k, v in plan.settings(plan.config).items()}}
    if size is not None:
        config = {**config, **{k: v for k, v in config_with_layers(known, {"": kept}).items() if known.get(k) != v}}
    try:
        small = made_anew(model, config)
        for place, number in enumerate(kept) if size is not None else ():
            places = f"{stacks[0]}.{number}", f"{stacks[0]}.{place}"
            alike(old.model_type, model, small, *places, sizes=not plan.reshapes)
    except RecipeError:
        raise
    except Exception as error:  # each class refuses in its own way what it cannot be
        raise _another(model, textwrap.shorten(str(error) or type(error).__name__, 200)) from None
    _check(model, small, plan)
    first = next(model.parameters())
    return small.to(device=first.device, dtype=first.dtype).eval()


def can_shrink(model: nn.Module, plan: ShrinkPlan) -> None:
    """E200 for layers of which one would not compute in another's place what it computes in its own, E172 for experts that
    cannot be ranked so."""
    stack = next(stacks_of(model))
    layers: Any = model.get_submodule(stack)
    for number in range(1, len(layers) if plan.to("layers") else 0):
        alike(str(model.config.model_type), model, model, f"{stack}.{number}", f"{stack}.0")  # type: ignore[union-attr]
    if RANKINGS[plan.by].looks_at == "states":
        can_be_seen(model, plan)


def _check(model: nn.Module, small: nn.Module, plan: ShrinkPlan) -> None:
    """E191 unless the library makes the shapes that were planned."""
    wanted = {r.name: plan.shape_of(r) for r in plan.reshapes}
    before = dict(model.named_parameters())
    for name, parameter in small.named_parameters():
        planned = wanted.get(name) or (tuple(before[name].shape) if name in before else None)
        if tuple(parameter.shape) != planned:
            raise _another(model, f"`{name}`: found {tuple(parameter.shape)}, planned {planned or 'nothing'}")
    for axis, name in (("heads", "num_attention_heads"), ("hidden", "hidden_size")):
        size, has = plan.to(axis), getattr(small.config, name, None)
        if size is not None and has not in (None, size.after):
            raise _another(model, f"`{name}`: found {has}, planned {size.after}")


def _another(model: nn.Module, why: str) -> RecipeError:
    kind = model.config.model_type  # type: ignore[union-attr]
    help = "install the releases tested together: `pip install --constraint constraints.txt recipelang`"
    return fail("E191", f"transformers makes another `{kind}` of the smaller config", notes=[why], help=help)


def _canonical(model: nn.Module) -> dict[str, str]:
    """Every name of a parameter -> the one that plans have; tied ones have several."""
    first = {id(p): n for n, p in model.named_parameters()}
    return {n: first[id(p)] for n, p in model.named_parameters(remove_duplicate=False)}


# ---------------------------------------------------------------------- which ones
def _best(scores: Tensor, plan: ShrinkPlan, axis: str) -> Tensor:
    """Of equal units the first ones, as everywhere; heads and experts by groups."""
    size = plan.to(axis)
    assert size is not None
    groups = {"heads": plan.groups, "experts": plan.routing}.get(axis, 1)
    each = _finite(scores.double().cpu().view(groups, -1))
    order = torch.sort(each, dim=1, descending=True, stable=True).indices[:, : size.after // groups]
    return (order.sort(dim=1).values + torch.arange(groups)[:, None] * each.shape[1]).flatten()


def _finite(scores: Tensor) -> Tensor:
    """E082: NaN has no rank, and would be kept or removed by chance."""
    if not bool(scores.isfinite().all()):
        help = "calibrate in fp32, or check the weights"
        raise fail("E082", "what the model computes for the ranking is not finite", help=help)
    return scores


def _layers(worth: Tensor, plan: ShrinkPlan) -> tuple[int, ...]:
    """Those that are kept: of equal ones, the first."""
    size = plan.to("layers")
    assert size is not None
    each = _finite(worth).tolist()
    ranked = sorted(range(size.before), key=lambda i: (i not in plan.keep, -each[i], i))
    return tuple(sorted(ranked[: size.after]))
