"""Modifiers of a stage that prune the same tensors: one block says them all, or they are refused at their places.

A block of this language is alone with its tensors, and its masks stay. So ramps that follow each other become one
schedule, zeros that are pruned anyway need not be held, and what happens at the same time has no place.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from recipelang.migrate.amounts import pruned_alike
from recipelang.migrate.form import Prune, Sparsity, Stage, Window
from recipelang.migrate.targets import Selectors

_START = (False, Fraction(0))
_STAGES = "write two stages: in a stage, only one block may prune a tensor"


def settle(stage: Stage, selectors: Selectors) -> None:
    """Join what one block says, and take out of a stage what none can say, or says anyway."""
    prunes = _joined(stage.prunes)
    taken: list[Prune] = []
    for prune in sorted((p for p in prunes if not p.holds), key=order):
        why = next((why for before in taken if (why := _excludes(before, prune, selectors))), None)
        if why is None:
            taken.append(prune)
        else:
            _say("E113", prune, why, selectors, help=_STAGES)
    left: list[Prune] = []
    for prune in prunes:
        if not prune.holds:
            left += [prune] if any(prune is t for t in taken) else []
        elif (held := _held(prune, taken, selectors)) is not None:
            left.append(held)
    stage.prunes = left


def _joined(prunes: list[Prune]) -> list[Prune]:
    """Modifiers that do the same at the same times to several tensors."""
    joined: list[Prune] = []
    for prune in prunes:
        same = next((i for i, p in enumerate(joined) if pruned_alike(p, prune)), None)
        if same is None:
            joined.append(prune)
        else:
            targets = joined[same].targets
            both = replace(targets, names=tuple(dict.fromkeys([*targets.names, *prune.targets.names])))
            joined[same] = replace(joined[same], targets=both)
    return joined


def order(prune: Prune) -> tuple[bool, Fraction]:
    """In time; what has no ramp acts from the start."""
    return prune.sparsity.window.order if isinstance(prune.sparsity, Sparsity) else (False, Fraction(0))


def _excludes(before: Prune, prune: Prune, selectors: Selectors) -> str | None:
    """Why both cannot be; none where they share no tensors, say the same, or one goes on where the other ends."""
    same = _same(before, prune, selectors)
    if same is None:
        return None
    if not same:
        return "another modifier prunes some of its tensors, and others"
    if (before.method, before.pattern) != (prune.method, prune.pattern):
        return "another modifier prunes its tensors by another method or pattern"
    first, second = before.sparsity, prune.sparsity
    if not isinstance(first, Sparsity) or not isinstance(second, Sparsity):
        return "another modifier prunes its tensors in this stage"
    if not first.window.ends_before(second.window):
        return "another modifier prunes its tensors at the same time"
    if first.last.value is not None and second.first.value is not None and second.first.value < first.last.value:
        return "its sparsity starts below the value another modifier reached"
    return None


def _same(a: Prune, b: Prune, selectors: Selectors) -> bool | None:
    """Whether two modifiers prune the same tensors; none where they share none, as far as names tell."""
    mine, its = selectors.chosen(a), selectors.chosen(b)
    if mine is None or its is None:
        return True if a.targets == b.targets else None
    return None if not mine & its else mine == its


def _held(hold: Prune, taken: list[Prune], selectors: Selectors) -> Prune | None:
    """What is left to hold, as masks of pruned tensors stay anyway."""
    held = Window(hold.since)
    shared = [t for t in taken if _same(hold, t, selectors) is not None]
    if not shared:
        if held.order > _START:
            why = "the loader let weights regrow until then"
            _say("W132", hold, "zeros are kept from the start of the stage", selectors, why=why)
        return hold
    if any(order(t) > max(held.order, _START) for t in shared):
        _say(
            "W132",
            hold,
            "zeros are kept from the pruning of these tensors on",
            selectors,
            why="before that, they may regrow",
        )
    else:
        why = "masks stay in force, so zeros are always kept"
        _say("W131", hold, "zeros of pruned tensors are always kept", selectors, why=why)
    names = tuple(dict.fromkeys(name for t in shared for name in t.targets.names))
    rest = replace(hold, targets=replace(hold.targets, ignored=(*hold.targets.ignored, *names)))
    chosen = selectors.chosen(rest)
    if chosen is None or not chosen:
        return None
    if any(t.targets.ignored or t.targets.modules != hold.targets.modules for t in shared):
        _say("E113", hold, "another modifier prunes some of its tensors, and others", selectors, help=_STAGES)
        return None
    return rest


def _say(
    code: str, part: Prune, message: str, selectors: Selectors, *, why: str | None = None, help: str | None = None
) -> None:
    label = selectors.document.label(part.span)
    selectors.found.say(code, message, label, notes=(why,) if why else (), help=help)
