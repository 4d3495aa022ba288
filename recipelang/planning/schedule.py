"""Exact schedules into steps: segments for what changes at every step, events for sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, lcm

from recipelang.planning.types import Segment
from recipelang.schedules import shapes
from recipelang.source import Diagnostic, Diagnostics, Label
from recipelang.values.composite import Schedule, ShapeSegment
from recipelang.values.quantities import round_half_up

#: pruning events of a plan, all blocks together
MAX_EVENTS = 100_000
#: an event whose sparsity takes many digits to find counts as so many
_COSTLY = 10


def segments(
    schedule: Schedule, steps: int, per_epoch: int, label: Label | None, found: Diagnostics
) -> tuple[Segment, ...]:
    """Planned segments that cover steps 0..steps-1 without gap or overlap; errors otherwise."""
    planned: list[Segment] = []
    expected = 0
    for part in schedule.segments:
        first, last = 0, steps - 1
        if part.window is not None:
            first, last = part.window[0].in_steps(per_epoch), part.window[1].in_steps(per_epoch) - 1
            if part.shape == "step":
                if not inside(first, first, steps, label, found):
                    return ()
                if expected:
                    help = "`step` also sets the value before its point: write it alone, or use `constant`"
                    found.add(disjoint("E060", expected, label, help))
                    return ()
                planned += _step(part, first, steps)
                expected = steps
                continue
        if not inside(first, last + 1, steps, label, found):
            return ()
        if first != expected:
            found.add(disjoint("E060" if first < expected else "E061", min(first, expected), label))
            return ()
        if last >= first:
            cycles = _cycles(part, last, per_epoch)
            if cycles is None:
                message = f"this schedule restarts more than {MAX_EVENTS:,} times"
                found.say("E063", message, label, help="make `rewind` longer")
                return ()
            planned.append(_segment(part, first, last, cycles))
        expected = last + 1
    if expected != steps:
        message = f"this schedule ends at step {expected:,} of {steps:,}"
        found.say("E061", message, label, help="it must cover the whole stage: write `over = start..end`")
        return ()
    return tuple(planned)


def _cycles(part: ShapeSegment, last: int, per_epoch: int) -> tuple[int, ...] | None:
    """The steps at which a shape begins again; none when there are too many to write down."""
    if part.rewind is None or part.window is None:
        return ()
    begin, period = part.window[0].exact_steps(per_epoch), part.rewind.exact_steps(per_epoch)
    period = max(period, Fraction(1))  # a shorter one begins again at every step as well
    count = ceil((last + 1 - begin) / period)
    if count > MAX_EVENTS:
        return None
    starts = (round_half_up(begin + i * period) for i in range(count + 1))
    return tuple(dict.fromkeys(step for step in starts if step <= last))


def _segment(part: ShapeSegment, first: int, last: int, cycles: tuple[int, ...]) -> Segment:
    return Segment(
        shape=part.shape,
        start=float(part.start),
        end=float(part.end),
        first=first,
        last=last,
        power=None if part.power is None else float(part.power),
        cycles=cycles,
        ends=part.ends or "after",
    )


def _step(part: ShapeSegment, at: int, steps: int) -> list[Segment]:
    before = Segment(shape="constant", start=float(part.start), end=float(part.start), first=0, last=at - 1)
    after = Segment(shape="constant", start=float(part.end), end=float(part.end), first=max(0, at), last=steps - 1)
    return [s for s in (before, after) if s.last >= s.first]


def events(
    schedule: Schedule, steps: int, per_epoch: int, label: Label | None, found: Diagnostics, room: int = MAX_EVENTS
) -> list[tuple[int, Fraction]]:
    """`(step, sparsity)` of every pruning event; both ends of a window are events, the last one exact.

    `room`: how many there may be; other blocks have had the others.
    """
    if not _adjacent(schedule, steps, per_epoch, label, found):
        return []
    out: list[tuple[int, Fraction]] = []
    merged = 0
    more = 0
    for number, part in enumerate(schedule.segments):
        times = _times(part, per_epoch, room - len(out) - more, first=number == 0)
        more += work((part,), per_epoch)
        if times is None or len(out) + len(times) > room:
            found.add(too_many(label))
            return []
        for index, (step, sparsity) in enumerate(times):
            if out and out[-1][0] == step:
                merged += index > 0  # where one part ends the next begins: one event, as written
                out[-1] = (step, sparsity)
            else:
                out.append((step, sparsity))
    if merged:
        s = "s fall" if merged > 1 else " falls"
        message = f"{merged:,} pruning event{s} on the step of the previous event"
        help = "use fewer updates: an epoch here has fewer steps than updates"
        found.say("W101", message, label, help=help)
    return out


def too_many(label: Label | None) -> Diagnostic:
    message = f"this plan has more than {MAX_EVENTS:,} pruning events"
    notes = ("events of all blocks count; a `cosine` event counts as ten, an event of another inexact shape as thirty",)
    return Diagnostic("E063", message, label, notes=notes, help=("use fewer pruning events",))


def _adjacent(schedule: Schedule, steps: int, per_epoch: int, label: Label | None, found: Diagnostics) -> bool:
    """Every part lies inside the stage and begins where the one before ends; a `step` may wait."""
    until: Fraction | None = None
    for part in schedule.segments:
        if part.window is None:
            continue
        first, last = (t.exact_steps(per_epoch) for t in part.window)
        if not inside(round_half_up(first), round_half_up(last), steps, label, found):
            return False
        if until is not None and (first < until or (first > until and part.shape != "step")):
            found.add(disjoint("E060" if first < until else "E061", round_half_up(min(first, until)), label))
            return False
        until = last
    return True


def disjoint(
    code: str, step: int, label: Label | None, help: str = "each part must begin where the previous part ends"
) -> Diagnostic:
    what = "overlap" if code == "E060" else "leave a gap"
    message = f"the parts of this schedule {what} at step {step:,}"
    return Diagnostic(code, message, label, help=(help,))


def _times(part: ShapeSegment, per_epoch: int, room: int, *, first: bool) -> list[tuple[int, Fraction]] | None:
    """The steps of a part's events, with their values; none when there are too many to write down.

    What holds before a `step` is an event only where nothing else came `first`.
    """
    if part.window is None:
        return [(0, part.end)]
    t0, t1 = (t.exact_steps(per_epoch) for t in part.window)
    intervals = _intervals(part, per_epoch)
    if part.every is None or not intervals:
        before = [(0, part.start)] if first and part.shape == "step" and part.start and t0 > 0 else []
        return [*before, (round_half_up(t0), part.end)]
    period = part.every.exact_steps(per_epoch)
    if intervals * _cost(part) >= room:
        return None
    # in whole numbers over one denominator: fractions would be reduced again and again, for every event
    unit = lcm(t0.denominator, t1.denominator, period.denominator)
    begin, whole, each = (int(t * unit) for t in (t0, t1 - t0, period))
    steps = (((begin + i * each) * 2 + unit) // (2 * unit) for i in range(intervals))
    values = shapes.values(part.shape, part.start, part.end, range(0, intervals * each, each), whole, part.power)
    return [*zip(steps, values, strict=True), (round_half_up(t1), part.end)]


def work(parts: Sequence[ShapeSegment], per_epoch: int) -> int:
    """What costly events take beyond the others, in events."""
    return sum((_cost(part) - 1) * _intervals(part, per_epoch) for part in parts)


def _intervals(part: ShapeSegment, per_epoch: int) -> int:
    """From one event of a part to the next; 0 where it jumps or stays."""
    if part.window is None or part.shape == "step" or part.every is None:
        return 0
    t0, t1 = (t.exact_steps(per_epoch) for t in part.window)
    return ceil((t1 - t0) / part.every.exact_steps(per_epoch)) if t1 > t0 else 0


def _cost(part: ShapeSegment) -> int:
    """Of an event, against one whose value is a fraction of few digits; powers take logarithms."""
    if shapes.is_cheap(part.shape, part.power):
        return 1
    return _COSTLY if part.shape == "cosine" else 3 * _COSTLY


def inside(first: int, last: int, steps: int, label: Label | None, found: Diagnostics) -> bool:
    if first >= 0 and last <= steps and first <= last:
        return True
    if first > last:
        message = "this window ends before it begins"
        found.say("E062", message, label, help="the earlier point must come first: swap the ends")
    else:
        message = "this window begins before the stage"
        if last > steps:
            message = f"this window reaches to step {last:,}; the stage has {steps:,}"
        help = "write it relative to `start` and `end`, so that it follows the stage's length"
        found.say("E062", message, label, help=help)
    return False
