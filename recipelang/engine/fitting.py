"""Whether the tensors of a checkpoint are those that a run writes there: names, types, shapes, random states.

Everything is judged before anything is set: a run never goes on with half of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from recipelang.engine.acting import acting
from recipelang.engine.position import Position, masked
from recipelang.modifiers.average import Average
from recipelang.modifiers.keep_best import MASK, WEIGHT, KeepBest
from recipelang.modifiers.modifier import misshapen
from recipelang.planning.controls import frozen
from recipelang.planning.sliced import counts_through
from recipelang.planning.types import Plan, StagePlan
from recipelang.pruning import shards
from recipelang.pruning.masks import revived
from recipelang.pruning.shards import local

Tensors = Mapping[str, Tensor]
_MASK, _OPTIMIZER, _RANDOM = "mask/", "optimizer/", "random/"
#: numbers of a Mersenne Twister; the place of the next one stands behind them
_TWISTER = 624


def each_once(model: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers, each under its first name: a decoder's embeddings may be its head as well."""
    names = {n for n, _ in (*model.named_parameters(), *model.named_buffers())}
    return {n: t for n, t in model.state_dict().items() if n in names}


def unfit(weights: Tensors, state: Tensors, model: nn.Module, plan: Plan, position: Position) -> str | None:
    """Why the tensors are not those of a run at this position, if they are not. Of shards those are judged that are here."""
    stage = plan.stages[position.stage] if position.stage < len(plan.stages) else None
    inside = stage if position.step else None  # between stages there is no optimizer, and nothing acts
    return (
        _other_weights(weights, model)
        or _other_masks(_below(_MASK, state), weights, model, masked(plan, position))
        or _other_randomness(_below(_RANDOM, state), position)
        or _other_memories(_below(_OPTIMIZER, state), model, inside)
        or _of_modifiers(state, inside, position.step, model)
        or _other_average(_below(f"{Average.name}/", state), weights, model, inside, state)
        or _other_best(_below(f"{KeepBest.name}/", state), model, inside, plan, position)
    )


def _below(start: str, state: Tensors) -> dict[str, Tensor]:
    return {n.removeprefix(start): t for n, t in state.items() if n.startswith(start)}


def _other_weights(weights: Tensors, model: nn.Module) -> str | None:
    now = each_once(model)
    if odd := sorted(weights.keys() ^ now.keys()):
        return f"`{odd[0]}` is {'not a tensor of the model' if odd[0] in weights else 'missing'}"
    for name, tensor in weights.items():
        if why := misshapen(name, tensor, now[name].shape, now[name].dtype):
            return why
    return None


def _other_masks(masks: Tensors, weights: Tensors, model: nn.Module, wanted: set[str]) -> str | None:
    """Masks of exactly the parameters that are pruned by now, and weights that are zero where they say so."""
    if odd := sorted(masks.keys() ^ wanted):
        return f"the mask of `{odd[0]}` {'is missing' if odd[0] in wanted else 'does not belong there'}"
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters or misshapen(name, mask, parameters[name].shape, torch.bool):
            return f"the mask of `{name}` has the wrong shape or type"
        if name in weights and revived(local(weights[name]), local(mask)):
            return f"`{name}` is not zero where its mask is zero"
    return None


def _other_average(
    kept: Tensors, weights: Tensors, model: nn.Module, stage: StagePlan | None, state: Tensors
) -> str | None:
    """One of every parameter, with its zeros, in a stage that has an average."""
    if stage is None or stage.ema is None:
        return f"`{min(kept)}` does not belong there" if kept else None
    parameters = dict(model.named_parameters())
    if odd := sorted(kept.keys() ^ parameters.keys()):
        return f"the average of `{odd[0]}` {'is missing' if odd[0] in parameters else 'does not belong there'}"
    whys = (misshapen(f"average/{n}", t, parameters[n].shape, parameters[n].dtype) for n, t in kept.items())
    masks = _below(_MASK, state)
    return next(filter(None, whys), None) or next(
        (f"the average of `{n}` is not zero where its mask is zero" for n, m in masks.items() if revived(kept[n], m)),
        None,
    )


def _other_best(kept: Tensors, model: nn.Module, stage: StagePlan | None, plan: Plan, position: Position) -> str | None:
    """All weights and masks as they were at the step that the position names, if it names one of this stage."""
    if stage is None or stage.name not in position.best:
        return f"`{min(kept)}` does not belong there" if kept else None
    weights, masks = _below(WEIGHT, kept), _below(MASK, kept)
    if odd := sorted(n for n in kept if not n.startswith((WEIGHT, MASK))):
        return f"`{odd[0]}` does not belong there"
    why = _other_weights(weights, model) or _other_masks(masks, weights, model, masked(plan, position))
    return why and f"of the best weights, {why}"


def miscounted(state: Tensors, plan: Plan, position: Position) -> str | None:
    """Where the last event of a block did not leave exactly the zeros that it plans. Of shards all processes ask."""
    masks = _below(_MASK, state)
    counted = dict(zip(masks, shards.zeros(masks.values()), strict=True))
    for names, (zeros, at_least) in reached(plan, position).items():
        dead = [counted[n] for n in names]
        here = dead if len(zeros) == len(names) else [sum(dead)]
        each = zip(names, here, zeros, strict=False)
        odd = next(((n, h, z) for n, h, z in each if h < z or (h > z and not at_least)), None)
        if odd is not None:
            return f"the mask of `{odd[0]}` has {odd[1]:,} zeros, the plan has {odd[2]:,}"
    return None


def reached(plan: Plan, position: Position) -> dict[tuple[str, ...], tuple[tuple[int, ...], bool]]:
    """Targets -> the zeros that the last event before a position left them, where no later block has changed them, and
    whether there may be more."""
    found: dict[tuple[str, ...], tuple[tuple[int, ...], bool]] = {}
    for stage in plan.stages[: position.stage + 1]:
        inside = stage.index == position.stage
        done = position.step if inside else plan.until(stage)
        if inside and done == 0:
            break
        ended = not inside and done == stage.steps  # `END` has an event of its own
        for shrink in stage.shrunk(done) if inside else stage.shrinks:
            known = ((counts_through(shrink, names, zeros), more) for names, (zeros, more) in found.items())
            found = {still[0]: (still[1], more) for still, more in known if still is not None}
        for prune in stage.prunes:
            names = tuple(t.name for t in prune.targets)
            past = [e for e in prune.events if e.step < done or ended]
            if past or not prune.events:
                found = {n: z for n, z in found.items() if not set(n) & set(names)}
            if past:
                found[names] = past[-1].zeros, prune.at_least
    return found


# ------------------------------------------------------------------------- randomness
def _other_randomness(states: Tensors, position: Position) -> str | None:
    """Of numpy one, of torch one a process, of GPUs none or one a process; each one that its generator takes."""
    count = str(position.sessions[-1].environment.get("processes", ""))
    each = ["", *(f"/{n}" for n in range(1, int(count)))] if count.isascii() and count.isdigit() else [""]
    wanted = {"numpy", *(f"torch{n}" for n in each)}
    if "cuda" in states:
        wanted |= {f"cuda{n}" for n in each}
    if odd := sorted(states.keys() ^ wanted):
        return f"the random state `{odd[0]}` {'is missing' if odd[0] in wanted else 'does not belong there'}"
    bad = next((n for n, t in states.items() if not _is_random_state(n, t)), None)
    return f"`{_RANDOM}{bad}` is not a random state" if bad is not None else None


def _is_random_state(name: str, value: Tensor) -> bool:
    if name == "numpy":
        whole = value.dtype == torch.int32 and value.shape == (_TWISTER + 1,)
        return whole and 0 <= int(value[-1]) <= _TWISTER and bool(value[:-1].any())
    if value.dtype != torch.uint8 or value.dim() != 1:
        return False
    device = name.partition("/")[0].replace("torch", "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        return True  # nothing is set from it here
    try:
        torch.Generator(device).set_state(value)
    except (RuntimeError, TypeError):
        return False
    return True


def numpy_state(value: Tensor) -> tuple[str, np.ndarray, int, int, float]:
    """As `numpy.random.set_state` takes it."""
    numbers = value.numpy().view(np.uint32)
    return "MT19937", numbers[:_TWISTER], int(numbers[_TWISTER]), 0, 0.0


# --------------------------------------------------------------- optimizer and modifiers
def memories(stage: StagePlan) -> frozenset[str]:
    """What the optimizer of a stage remembers of a parameter that it has moved."""
    if stage.optimizer == "adamw":
        return frozenset({"exp_avg", "exp_avg_sq", "step"})
    return frozenset({"momentum_buffer"} if stage.optimizer_args.get("momentum") else ())


def _other_memories(kept: Tensors, model: nn.Module, stage: StagePlan | None) -> str | None:
    """All that the stage's optimizer remembers of a parameter or, where no gradient has reached it, nothing."""
    wanted = memories(stage) if stage is not None else frozenset()
    parameters = dict(model.named_parameters())
    found: dict[str, set[str]] = {}
    for where, value in kept.items():
        name, _, key = where.rpartition("/")
        if name not in parameters or key not in wanted:
            return f"`{_OPTIMIZER}{where}` does not belong there"
        shape, dtype = ((), torch.float32) if key == "step" else (parameters[name].shape, parameters[name].dtype)
        if why := misshapen(f"{_OPTIMIZER}{where}", value, shape, dtype):
            return why
        found.setdefault(name, set()).add(key)
    if odd := sorted(n for n, keys in found.items() if keys != wanted):
        return f"part of the optimizer state of `{odd[0]}` is missing"
    if stage is None:
        return None
    by_adapters = {t.name for a in stage.adapters for t in a.targets}
    if wanted and not found and frozen(stage.freezes, stage.steps).keys() | by_adapters < parameters.keys():
        return "the optimizer state is missing"
    return None


def _of_modifiers(state: Tensors, stage: StagePlan | None, step: int, model: nn.Module) -> str | None:
    """What each modifier of the stage remembers after so many steps, and nothing of others."""
    parameters = dict(model.named_parameters())
    rest = {n: t for n, t in state.items() if not n.startswith((_MASK, _OPTIMIZER, _RANDOM))}
    trained = {n.removeprefix(_OPTIMIZER).rpartition("/")[0] for n in state if n.startswith(_OPTIMIZER)}
    modifiers = acting(stage, [_nobody] * len(stage.distills), (), scaled=True) if stage is not None else []
    for modifier in modifiers:
        own = _below(f"{modifier.name}/", rest) if modifier.name else {}
        rest = {n: t for n, t in rest.items() if not (modifier.name and n.startswith(f"{modifier.name}/"))}
        moments = memories(stage) if stage is not None else frozenset()
        if why := modifier.misfit(own, step, trained, moments):
            return f"of `{modifier.name}`, {why}"
        for where, tensor in own.items() if modifier.copies else ():
            name, _, what = where.rpartition("/")
            if what == modifier.copies and (
                why := misshapen(where, tensor, parameters[name].shape, parameters[name].dtype)
            ):
                return f"of `{modifier.name}`, {why}"
    return f"`{sorted(rest)[0]}` does not belong there" if rest else None


def _nobody(state: object) -> None:
    """A teacher that is not asked."""
