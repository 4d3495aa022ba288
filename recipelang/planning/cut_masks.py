"""What a plan knows of masks once `shrink` has cut them, and which masks cannot be cut (E154)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipelang.planning.facts import ModelFacts
from recipelang.planning.prunes import Prunes
from recipelang.planning.shrink_plan import ReshapePlan, ShrinkPlan
from recipelang.planning.sliced import left, through, twins
from recipelang.source.words import plural


def cut_masks(prunes: Prunes, shrink: ShrinkPlan, facts: ModelFacts, path: str) -> int | None:
    """How many masks are cut or go with their layers; none after E154. `facts`: of the model before.

    What `prunes` knows is then that of the smaller model.
    """
    masked = prunes.patterned
    if not (_each_layer_alike(prunes, shrink, path) and _patterns_stay(prunes, shrink, facts, path)):
        return None
    cuts = {r.name: r for r in shrink.reshapes}
    touched = {n for n in masked if n in cuts or len(twins(shrink, n)) > 1}
    known = through(shrink, prunes.masked)
    counted = {n for n, zeros in known.items() if zeros is not None}
    together = {n for n in masked if prunes.ranked.get(n, (("", ()), ""))[0][0] in ("global", "owl")}
    unknown = (touched | prunes.sliced) - counted
    if unknown & together:  # of a total that is no longer known nothing else is
        unknown |= together
    prunes.sliced = {*left(shrink, unknown & masked.keys())}
    inputs = {n for n in touched & cuts.keys() if _inputs_go(cuts[n], facts)}
    prunes.uneven = {*left(shrink, prunes.uneven | inputs)}
    prunes.masked = {n: zeros for n, zeros in known.items() if zeros is not None}
    prunes.fullest = {n: most for n, most in through(shrink, prunes.fullest).items() if most is not None}
    prunes.held &= prunes.masked.keys()
    prunes.in_force = _of_left(shrink, prunes.in_force)
    prunes.patterned = _of_left(shrink, prunes.patterned)
    prunes.ranked = {
        n: ((scope, tuple(left(shrink, names))), stage)
        for n, ((scope, names), stage) in _of_left(shrink, prunes.ranked).items()
    }
    return len(touched)


def _of_left(shrink: ShrinkPlan, known: Mapping[str, Any]) -> dict[str, Any]:
    return {n: known[n] for n in left(shrink, known)}


def _each_layer_alike(prunes: Prunes, shrink: ShrinkPlan, path: str) -> bool:
    """Which layers stay is found out in the run, so which masks stay is known only where all layers have the same."""
    for name in prunes.patterned:
        has = prunes.patterned[name], prunes.in_force.get(name)
        for twin in twins(shrink, name):
            if (prunes.patterned.get(twin), prunes.in_force.get(twin)) != has:
                notes = (f"`{name}` and `{twin}` are not pruned alike", "which layers stay is found out in the run")
                help = "prune the same matrices of all layers, or shrink the model before it is pruned"
                prunes.context.say("E154", "layers that were pruned differently cannot go", path, help, notes)
                return False
    return True


def _patterns_stay(prunes: Prunes, shrink: ShrinkPlan, facts: ModelFacts, path: str) -> bool:
    """Units that go take whole groups of a pattern with them, or none of their weights."""
    broken = [r.name for r in shrink.reshapes if _breaks(prunes.patterns.get(r.name), r, facts)]
    broken = [n for n in broken if n in prunes.patterned]
    if not broken:
        return True
    pattern = prunes.patterned[broken[0]]
    notes = (
        f"single units of {plural(len(broken), 'matrix')} go, and what is left would make other groups",
        f"one of them is `{broken[0]}`",
    )
    help = "shrink the model before it is pruned, or take the masks off first with `method = release`"
    prunes.context.say("E154", f"shrinking would break the pattern `{pattern}`", path, help, notes)
    return False


def _breaks(pattern: tuple[str, int, int] | None, reshape: ReshapePlan, facts: ModelFacts) -> bool:
    if pattern is None or pattern[0] == "unstructured":
        return False
    kind, first, second = pattern
    group = {"outputs": first if kind == "block" else 1, "inputs": second}
    sides = ((cut, _side(reshape, cut.dim, facts)) for cut in reshape.cuts)
    return any(cut.unit % group[side] or cut.rest % group[side] for cut, side in sides if side in group)


def _inputs_go(reshape: ReshapePlan, facts: ModelFacts) -> bool:
    return any(_side(reshape, cut.dim, facts) == "inputs" for cut in reshape.cuts)


def _side(reshape: ReshapePlan, dim: int, facts: ModelFacts) -> str:
    if len(reshape.shape) - dim > 2:
        return "experts"  # each goes whole, or stays
    turned = next(t.turned for t in facts.tensors if t.name == reshape.name)
    return "inputs" if (dim == len(reshape.shape) - 1) != turned else "outputs"
