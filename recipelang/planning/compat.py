"""Schedules into steps as SparseML 1 counted them, for a stage with `compat = sparseml_1`.

What differs from `plan.schedule`: an interval is added to the epoch of the last event, a float; a rate is set at the
updates of its window and then stays as it is, so nothing has to cover what lies behind a window; the last update falls
on the first step at or behind the window's end, which a window that ends with the stage never sees.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction

from recipelang.planning.schedule import MAX_EVENTS, disjoint, inside, too_many
from recipelang.planning.types import Segment
from recipelang.schedules import sparseml_1
from recipelang.schedules.shapes import SHAPES, exponent
from recipelang.schedules.sparseml_1 import Crash, Window, epoch_of
from recipelang.source import Diagnostic, Diagnostics, Label
from recipelang.values.composite import Schedule, ShapeSegment
from recipelang.values.quantities import Time

#: a run of rates is one line as long as no step differs from the first by more than this share
_ALIKE = 1e-9


def segments(
    schedule: Schedule, steps: int, per_epoch: int, label: Label | None, found: Diagnostics
) -> tuple[Segment, ...]:
    """The learning rate in force at every step."""
    parts = schedule.segments
    if not _sound(parts, ("constant", "linear", "cosine"), steps, per_epoch, label, found):
        return ()
    if work(parts, steps) > MAX_EVENTS:
        message = "this stage has too many steps for the clock of SparseML 1"
        found.say("E063", message, label, help="remove `compat`, or shorten the stage")
        return ()
    begins = [_first_at(_start(part, per_epoch), steps, per_epoch) for part in parts]
    if begins[0] > 0:
        help = "SparseML 1 kept the trainer's rate there: write `constant(RATE, over = start..TIME)`"
        found.add(disjoint("E061", 0, label, help))
        return ()
    planned: list[Segment] = []
    for part, first, until in zip(parts, begins, [*begins[1:], steps], strict=True):
        if first < until:
            try:
                planned += _rate(part, first, until, steps, per_epoch)
            except Crash as crash:
                found.add(_stopped(crash, label))
                return ()
    if len(planned) > MAX_EVENTS:
        found.say("E063", f"this schedule has more than {MAX_EVENTS:,} parts", label)
        return ()
    return tuple(planned)


def work(parts: Sequence[ShapeSegment], steps: int) -> int:
    """What it takes to go through all steps, in events: where the next one falls hangs on the one before."""
    return steps // 20 * sum(p.window is not None and SHAPES[p.shape].moves for p in parts)


def events(
    schedule: Schedule, steps: int, per_epoch: int, label: Label | None, found: Diagnostics, room: int = MAX_EVENTS
) -> list[tuple[int, Fraction]]:
    """`(step, sparsity)` of every update of the masks; `room` as in `schedule.events`."""
    parts = schedule.segments
    if work(parts, steps) > room:
        found.add(too_many(label))
        return []
    if not _sound(parts, ("constant", "step", "linear", "cubic", "polynomial"), steps, per_epoch, label, found):
        return []
    out: dict[int, Fraction] = {}
    for part in parts:
        try:
            out |= dict(_updates(part, steps, per_epoch))
        except Crash as crash:
            found.add(_stopped(crash, label))
            return []
        if len(out) > room:
            found.add(too_many(label))
            return []
    return sorted(out.items())


def _sound(
    parts: tuple[ShapeSegment, ...],
    shapes: tuple[str, ...],
    steps: int,
    per_epoch: int,
    label: Label | None,
    found: Diagnostics,
) -> bool:
    for part in parts:
        if part.shape not in shapes:
            help = f"it had {', '.join(f'`{s}`' for s in shapes)}; without `compat` every shape can be used"
            found.say("E054", f"`{part.shape}` is not supported by SparseML 1 here", label, help=help)
            return False
        if part.window is not None:
            first, last = (t.in_steps(per_epoch) for t in part.window)
            if not inside(first, last, steps, label, found):
                return False
    return True


def _stopped(crash: Crash, label: Label | None) -> Diagnostic:
    notes = (f"it ended with a {crash.exception}: {crash}",)
    help = ("end the window at the end of an epoch, or remove `compat`",)
    return Diagnostic("E065", "this schedule cannot run in SparseML 1", label, notes=notes, help=help)


def _epochs(time: Time, per_epoch: int) -> float:
    return float(time.exact_steps(per_epoch) / per_epoch)


def _start(part: ShapeSegment, per_epoch: int) -> float:
    return 0.0 if part.window is None else _epochs(part.window[0], per_epoch)


def _first_at(epoch: float, steps: int, per_epoch: int) -> int:
    """The first step at or behind an epoch."""
    return bisect_left(range(steps), epoch, key=lambda step: epoch_of(step, per_epoch))


def _window(part: ShapeSegment, per_epoch: int) -> Window:
    assert part.window is not None
    start, end = (_epochs(t, per_epoch) for t in part.window)
    each_step = part.every is None or (not part.every.epochs and part.every.steps <= 1)
    every = -1.0 if each_step or part.every is None else _epochs(part.every, per_epoch)
    return Window(start, end, every)


# ------------------------------------------------------------------ sparsity
def _updates(part: ShapeSegment, steps: int, per_epoch: int) -> list[tuple[int, Fraction]]:
    if part.window is None:
        return [(0, part.end)]
    if not SHAPES[part.shape].moves:
        at = _first_at(_start(part, per_epoch), steps, per_epoch)
        return [(at, part.end)] if at < steps else []
    power = float(exponent(part.shape, part.power))
    window = _window(part, per_epoch)
    first, last = float(part.start), float(part.end)
    exact = {first: part.start, last: part.end}
    found = []
    for step, epoch in sparseml_1.updates(window, per_epoch, steps):
        value = sparseml_1.between(power, epoch, window, first, last)
        found.append((step, exact.get(value) or Fraction(value)))
    return found


# ------------------------------------------------------------------ learning rates
def _rate(part: ShapeSegment, first: int, until: int, steps: int, per_epoch: int) -> list[Segment]:
    """What a part sets from its first update on, as far as the next part's."""
    start, end = float(part.start), float(part.end)
    if part.shape == "constant" or part.window is None:
        return [_constant(end, first, until)]
    window = _window(part, per_epoch)
    shape = "cyclic" if part.rewind is not None else part.shape
    cycle = 1.0 if part.rewind is None else _epochs(part.rewind, per_epoch)
    due = [(k, e) for k, e in sparseml_1.updates(window, per_epoch, steps) if k < until]
    if shape == "cyclic":
        values = [sparseml_1.rate(shape, e, start, end, window, per_epoch, cycle) for _, e in due]
        planned = _lines(due[0][0], values)
    else:
        within = [k for k, e in due if e <= window.end]
        whole = (max(window.start, 0.0) * per_epoch, window.end * per_epoch)
        last = due[-1][1]
        values = [end if last == window.end else sparseml_1.rate(shape, last, start, end, window, per_epoch)]
        planned = []
        if within:
            planned.append(Segment(shape=shape, start=start, end=end, first=within[0], last=within[-1], whole=whole))
        if len(within) < len(due):
            planned.append(_constant(values[-1], due[-1][0], due[-1][0] + 1))
    after = due[-1][0] + 1
    return [*planned, _constant(values[-1], after, until)] if after < until else planned


def _constant(value: float, first: int, until: int) -> Segment:
    return Segment(shape="constant", start=value, end=value, first=first, last=until - 1)


def _lines(first: int, values: list[float]) -> list[Segment]:
    """Values of successive steps as straight pieces."""
    found: list[Segment] = []
    i = 0
    while i < len(values):
        j = i + 1
        slope = values[j] - values[i] if j < len(values) else 0.0
        while j < len(values) and abs(values[j] - values[j - 1] - slope) <= _ALIKE * abs(slope):
            j += 1
        a, b = values[i], values[j - 1]
        shape = "linear" if a != b else "constant"
        found.append(Segment(shape=shape, start=a, end=b, first=first + i, last=first + j - 1))
        i = j
    return found
