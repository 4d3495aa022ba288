"""`shrink`: the units of a model that matter most, and a smaller model that is made of them.

Which units those are, `engine.worth` says.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recipelang import processes
from recipelang.engine.cuts import taken
from recipelang.engine.depth import alike, made_anew
from recipelang.engine.places import Places
from recipelang.engine.roles import layer_of, stacks_of
from recipelang.engine.routed import can_be_seen, unreached
from recipelang.engine.worth import Worth
from recipelang.kinds.sizes import RANKINGS
from recipelang.planning.layers import Keep, config_with_layers, renumbered
from recipelang.planning.shrink_plan import CutPlan, ShrinkPlan
from recipelang.pruning.masks import Masks
from recipelang.source import RecipeError, fail


@dataclass(frozen=True)
class Left:
    """What stays of a model, by its plan."""

    plan: ShrinkPlan
    units: Mapping[tuple[str, str], Tensor]  # axis and layer -> the units that stay, in order
    keep: Keep  # the layers of each stack that stay, by their numbers in the larger model
    stacks: Sequence[str]
    names: Mapping[str, str]  # as `_canonical`
    unreached: Sequence[str] = ()  # experts that no token of the data was sent to

    @property
    def layers(self) -> tuple[int, ...]:
        """Those of the only stack, or of the encoder."""
        return next(iter(self.keep.values()))

    def renamed(self, name: str) -> str | None:
        """A parameter's name in the smaller model, none where its layer is gone."""
        return renumbered(name, self.stacks, self.keep) if self.plan.to("layers") else name

    def taken(self, name: str, tensor: Tensor) -> Tensor:
        """What stays of a tensor that has the shape of a parameter."""
        own, places = self.names.get(name, name), Places.of(self.plan, self.stacks)
        for cut in next((r.cuts for r in self.plan.reshapes if r.name == own), ()):
            tensor = taken(tensor, cut, self.units[cut.axis, places.place(cut.axis, own)])
        return tensor

    def buffer(self, name: str, table: Tensor, shape: Sequence[int]) -> Tensor:
        """What stays of a buffer that shall have this shape: beside a router it has a place for each expert."""
        units = self.units.get(("experts", layer_of(name, self.stacks)))
        if units is not None and len(shape) == 1 == table.dim() and len(table) != shape[0] == len(units):
            table = taken(table, CutPlan(dim=0, axis="experts"), units)
        return table


def choose(model: nn.Module, plan: ShrinkPlan, worth: Worth, protected: Keep | None = None) -> Left:
    """Which units and layers stay, by what they are worth.

    `protected`: of each stack the layers that stay whatever they are worth; those of the plan where none are named.
    """
    chosen = {key: _best(scores, plan, key[0]) for key, scores in worth.items() if key[0] != "layers"}
    stacks = list(stacks_of(model))
    keep: Keep = {
        word: _layers(worth["layers", word], plan, plan.keep if protected is None else protected[word])
        for word in plan.stacks
    }
    chosen, keep = processes.first((chosen, keep or _first_layers(model, plan)))  # another may have rounded otherwise
    return Left(plan, chosen, keep, stacks, _canonical(model), unreached(plan, worth, stacks))


def _first_layers(model: nn.Module, plan: ShrinkPlan) -> Keep:
    """The first layers of each stack, as many as stay."""
    size = plan.to("layers")
    if size is not None:
        return dict.fromkeys(plan.stacks, tuple(range(size.after)))
    return {"": tuple(range(len(model.get_submodule(next(stacks_of(model))))))}  # type: ignore[arg-type]


@torch.no_grad()
def smaller(model: nn.Module, kept: Left) -> nn.Module:
    """The model that is left, on the same device."""
    small = empty_like(model, kept.plan, kept.keep)
    everything = model.state_dict().items()
    state = {new: kept.taken(old, tensor) for old, tensor in everything if (new := kept.renamed(old)) is not None}
    state |= {n: kept.buffer(n, state[n], table.shape) for n, table in small.named_buffers() if n in state}
    state |= {n: table for n, table in small.state_dict().items() if n in state and _unsaved(small, n)}
    try:
        small.load_state_dict(state)
    except RuntimeError as error:  # a buffer that no plan knows of
        raise _another(model, textwrap.shorten(str(error), 200)) from None
    return small


def _unsaved(model: nn.Module, name: str) -> bool:
    """Whether files hold none of a table, as of Marian's positions: what loads the model computes it of its width."""
    patterns = getattr(model, "_keys_to_ignore_on_save", None) or ()
    return "position" in name and any(re.search(pattern, name) for pattern in patterns)


@torch.no_grad()
def cut_masks(masks: Masks, kept: Left, small: nn.Module) -> None:
    """Masks of the larger model become those of the smaller one."""
    named = [(kept.renamed(name), name, mask) for name, _, mask in masks]
    masks.drop([name for _, name, _ in named])
    left = {new: kept.taken(old, mask) for new, old, mask in named if new is not None}
    masks.load(left, dict(small.named_parameters()))


def empty_like(model: nn.Module, plan: ShrinkPlan, keep: Keep | None = None) -> nn.Module:
    """The smaller model with weights of no meaning. `keep`: of the larger model, the layers in it; none: the first ones."""
    old: Any = model.config
    size = plan.to("layers")
    kept = _first_layers(model, plan) if keep is None else keep
    known, called = old.to_dict(), getattr(old, "attribute_map", {})
    config = {**known, **{called.get(k, k): v for k, v in plan.settings(plan.config).items()}}
    if size is not None:
        config = {**config, **{k: v for k, v in config_with_layers(known, kept).items() if known.get(k) != v}}
    try:
        small = made_anew(model, config)
        for word, stack in plan.stacks.items():
            for place, number in enumerate(kept[word]):
                places = f"{stack}.{number}", f"{stack}.{place}"
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
    kind = str(model.config.model_type)  # type: ignore[union-attr]
    for stack in plan.stacks.values():
        layers: Any = model.get_submodule(stack)
        first = 1 if 0 in plan.keep else 0  # which takes no other's place
        for number in range(first + 1, len(layers)):
            alike(kind, model, model, f"{stack}.{number}", f"{stack}.{first}")
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


def _layers(worth: Tensor, plan: ShrinkPlan, keep: Sequence[int]) -> tuple[int, ...]:
    """Those that are kept: of equal ones, the first."""
    size = plan.to("layers")
    assert size is not None
    each = _finite(worth).tolist()
    ranked = sorted(range(size.before), key=lambda i: (i not in keep, -each[i], i))
    return tuple(sorted(ranked[: size.after]))
