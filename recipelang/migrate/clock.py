"""When a stage of SparseML 1 begins and ends: its loader had one clock, whose epochs count through all stages.

`compose_staged` of its manager moved the epochs of a later recipe behind those of the earlier one, and what a
modifier had set stayed until another one changed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil

from recipelang.migrate.arguments import Amount, Arguments
from recipelang.migrate.document import LEGACY, Document, Modifier, stage_name
from recipelang.migrate.form import Distill, Rate, Stage
from recipelang.source import Diagnostics

_AT_ONCE = "SparseML 1 uses one clock for the whole file, and these epochs overlap on it"


@dataclass(frozen=True)
class Clock:
    """`since`: the epoch of the run that the stage begins with; none is its start. `length`: none is not told."""

    name: str
    since: Amount | None = None
    length: Amount | None = None


def clocks(document: Document, found: Diagnostics) -> dict[str | None, Clock]:
    """Of every key that holds modifiers, in the order in which they run. What runs at the same time is one (W132)."""
    keys = list(dict.fromkeys(m.stage for m in document.modifiers))
    if document.dialect != LEGACY:
        return {key: Clock(_name(key)) for key in keys}
    times = {key: _times([m for m in document.modifiers if m.stage == key], document) for key in keys}
    keys.sort(key=lambda key: times[key].begins.value or Fraction(0))
    if not all(_follows(times[a], times[b]) for a, b in pairwise(keys)):
        whole = Clock(_name(keys[0]), None, _times(document.modifiers, document).ends)
        names = " and ".join(f"`{key}`" for key in keys if key is not None)
        at = document.label(document.stages[next(k for k in keys if k is not None)].span)
        found.say("W132", f"{names} run at the same time and become one stage", at, notes=(_AT_ONCE,))
        return dict.fromkeys(keys, whole)
    since: Amount | None = None
    made: dict[str | None, Clock] = {}
    for key in keys:
        ends = times[key].ends
        made[key] = Clock(_name(key), since, ends.minus(since) if ends and since else ends)
        since = ends
    return made


def _name(key: str | None) -> str:
    return "train" if key is None else stage_name(key)


@dataclass(frozen=True)
class _Times:
    begins: Amount
    ends: Amount | None


def _follows(a: _Times, b: _Times) -> bool:
    """Whether a stage begins where another one ends, or later."""
    if a.ends is None:
        return False
    gap = b.begins.minus(a.ends)
    return gap.value is None or gap.value >= 0


def _times(modifiers: Iterable[Modifier], document: Document) -> _Times:
    """From the first to the last epoch that a modifier names, rounded up: the loader asked nothing else."""
    begins: list[Amount] = []
    known: list[Amount] = []
    unknown: list[Amount] = []
    ranges: list[Amount | None] = []
    unread = False
    for modifier in modifiers:
        scratch = Diagnostics()
        arguments = Arguments(modifier, document, scratch)
        start, end = arguments.amount("start_epoch", "epochs", 0), arguments.amount("end_epoch", "epochs")
        begins.append(start if start is not None and not _open(start) else Amount(Fraction(0), "epochs", modifier.span))
        for at in (end, start):
            if at is not None and not _open(at):
                (known if at.value is not None else unknown).append(at)
        if modifier.name == "EpochRangeModifier" and not (end is not None and _open(end)):
            ranges.append(end)
        unread = unread or bool(scratch.errors)
    first = min(begins, key=lambda at: at.value or Fraction(0))
    return _Times(first, _rounded_up(_last(known, unknown, ranges, unread)))


def _open(at: Amount) -> bool:
    return at.value is not None and at.value < 0


def _last(
    known: Sequence[Amount], unknown: Sequence[Amount], ranges: Sequence[Amount | None], unread: bool
) -> Amount | None:
    """An end without a value decides how long a stage is only where no range of epochs does."""
    if any(end is None for end in ranges):
        return None
    if asked := next((end for end in ranges if end is not None and end.value is None), None):
        return asked
    if not ranges and (unread or unknown):
        formulas = {at.formula for at in unknown}
        return unknown[0] if len(formulas) == 1 and not unread else None
    last: Amount | None = None
    for at in known:
        if last is None or last.value is None or at.value is None or at.value > last.value:
            last = at
        elif at.value == last.value and last.formula is None:
            last = at  # of equal lengths the one that is written with variables
    return last if last is not None and last.value else None


def _rounded_up(end: Amount | None) -> Amount | None:
    if end is None or end.value is None or end.value.denominator == 1:
        return end
    return Amount(Fraction(ceil(end.value)), "epochs", end.span)


def carry_on(stages: Sequence[Stage], document: Document, found: Diagnostics) -> None:
    """What stays in force when a stage ends: rates, weight decay, and what was given no end."""
    for before, stage in pairwise(stages):
        lifted = next((p for p in before.prunes if p.lifted), None)
        if lifted is not None and stage.trains and not stage.prunes:
            label = document.label(lifted.span)
            help = f"add a block with `method = release` to the stage `{stage.name}`"
            found.say("E113", "masks stay in force in later stages", label, help=help)
        stage.before = max(before.rates, key=_begins, default=before.before)
        if stage.weight_decay is None:
            stage.weight_decay = before.weight_decay
        stage.distills[:0] = [replace(d, window=replace(d.window, start=None)) for d in before.distills if _lasts(d)]
        stage.freezes[:0] = [f for f in before.freezes if f.until is None]


def _lasts(distill: Distill) -> bool:
    return distill.window.end is None


def _begins(rate: Rate) -> Fraction:
    start = rate.window.start
    return Fraction(0) if start is None or start.value is None else start.value
