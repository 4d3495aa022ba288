"""The kind of attributes that change over time: `shape(a -> b, over = window)`, a list, or a plain value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Literal

from recipelang.kinds import from_form
from recipelang.kinds.base import Kind, Mismatch, Silent, misnamed, wrong
from recipelang.kinds.plain import OneOf, Ratio
from recipelang.kinds.text import schedule
from recipelang.schedules.shapes import SHAPES
from recipelang.source import Span
from recipelang.source.suggest import closest
from recipelang.values import aliases
from recipelang.values.composite import Applied, Arrow, Between, Poison, Schedule, ShapeSegment, Symbol
from recipelang.values.quantities import Quantity, Rate, Time

#: what other tools call an argument, and how its value is written here
ELSEWHERE = {
    **dict.fromkeys(("start", "end", "start_epoch", "end_epoch", "begin", "window", "duration", "begin_step"), "over"),
    **dict.fromkeys(("frequency", "update_frequency", "interval", "pruning_frequency", "delta_t"), "every"),
    **dict.fromkeys(("cycle", "cycles", "cycle_epochs", "restart", "restarts", "period"), "rewind"),
}
#: where a value that changes at every step has its end: as transformers' schedulers, or on the window's last step
ENDS = OneOf("after", "last")
EXAMPLES = {"over": "over = 2..28 epochs", "every": "every = 100 steps", "rewind": "rewind = 2 epochs"}


#: argument of a shape -> its type and what it says
ARGUMENTS: dict[str, tuple[str, str]] = {
    "over": ("window", "start and end: `start..end`, `2..28 epochs`, `10%..90%` of the stage"),
    "at": ("span", "time of the jump of `step`, instead of `over`"),
    "every": ("span", "interval between pruning events; only for `sparsity`"),
    "updates": ("rate", "pruning events per epoch, such as `10 per epoch`, instead of `every`; only for `sparsity`"),
    "rewind": ("span", "restart from `a` after each such interval, as in a cyclic learning rate"),
    "power": ("number", "exponent of `polynomial`, greater than 0"),
    "ends": (
        ENDS.name,
        "when a value that changes at every step reaches `b`: `after` the window or cycle, as in the schedulers of "
        "transformers, so that no step has a rate of 0; or on its `last` step. Default: `after`, or `last` in a "
        "stage with `compat`",
    ),
}


def arguments_of(shape: str) -> dict[str, tuple[str, str]]:
    """Those that a shape takes, as `ARGUMENTS` has them."""
    return {n: told for n, told in ARGUMENTS.items() if n != "power" or n in SHAPES[shape].arguments}


class ScheduleOf(Kind):
    """A value of `inner` over time. `events`: it changes at events, so a window needs `every` or `updates`."""

    doc = "a constant value, a change over time such as `linear(a -> b, over = start..end)`, or a list of such changes"

    def __init__(self, inner: Kind, *, events: bool = False) -> None:
        self.inner, self.events = inner, events
        self.name, self.within = f"schedule<{inner.name}>", inner.within
        changes = {"type": "array", "items": {"$ref": "#/$defs/segment"}, "minItems": 1}
        self.json = {"anyOf": [inner.json, changes]}

    def _read(self, value: object) -> object:
        items = value if isinstance(value, tuple) else (value,)
        if not items:
            raise Mismatch("E024", "a schedule needs at least one value")
        if len(items) > 1 and not all(isinstance(item, Applied) for item in items):
            raise Mismatch(
                "E024", "a list of schedules may hold only shape calls", "write `[linear(...), linear(...)]`"
            )
        found: list[ShapeSegment] = []
        for item in items:
            with suppress(Silent):  # one that could not be evaluated does not hide what is wrong with the next
                found.append(_segment(item, self.inner, self.events))
        if len(found) < len(items):
            raise Silent
        return Schedule(tuple(found))

    def check(self, value: object) -> None:
        if not isinstance(value, Schedule) or not value.segments:
            raise wrong(value, "a schedule")
        for segment in value.segments:
            if segment.shape not in SHAPES:
                raise Mismatch("E022", f"unknown shape `{segment.shape}`")
            self.inner.check(segment.start)
            self.inner.check(segment.end)
            if SHAPES[segment.shape].above_zero and (segment.start <= 0 or segment.end <= 0):
                raise _above_zero()
            if segment.window is None and segment.shape != "constant":
                raise Mismatch("E053", f"`{segment.shape}` needs a window")
            if ("power" in SHAPES[segment.shape].arguments) != (segment.power is not None):
                raise Mismatch("E053", f"`power` belongs to `{segment.shape}` or must be absent")
            if segment.power is not None and segment.power <= 0:
                raise Mismatch("E038", "`power` must be greater than 0")
            if segment.ends not in (None, *ENDS.symbols):
                raise Mismatch("E022", f"unknown name `{segment.ends}`")
            for name, time in (("every", segment.every), ("rewind", segment.rewind)):
                if time is not None:
                    _longer(name, time)

    def text(self, value: object) -> str:
        return schedule(value, isinstance(self.inner, Ratio))  # type: ignore[arg-type]

    def written(self, form: object) -> str:
        return from_form.schedule(form)


def _segment(value: object, kind: Kind, events: bool) -> ShapeSegment:
    if isinstance(value, Symbol):
        raise kind.unknown(value)
    if not isinstance(value, Applied):
        if isinstance(value, Arrow):
            raise Mismatch("E024", "a change needs a shape", "write `linear(a -> b, over = start..end)`")
        plain = _value(value, kind)
        return ShapeSegment("constant", plain, plain)
    if value.function not in SHAPES:
        near = closest(value.function, SHAPES) or aliases.meant(value.function, aliases.SYMBOLS, SHAPES)
        known = ", ".join(f"`{s}`" for s in SHAPES)
        help = f"did you mean `{near}`?" if near else f"shapes: {known}"
        raise Mismatch("E022", f"unknown shape `{value.function}`", help, near, subject=value.function)
    return _call(value, kind, events)


def _call(call: Applied, kind: Kind, events: bool) -> ShapeSegment:
    shape = call.function
    allowed = {"over", "every", "updates", "rewind", "at", "ends", *SHAPES[shape].arguments}
    listed = sorted(allowed - ({"at"} if shape != "step" else set()) - ({"ends"} if events else {"every", "updates"}))
    given: dict[str, object] = {}
    change: object = None
    for index, (name, value, span) in enumerate(call.arguments):
        if name is None:
            if index:
                help = f"write `{shape}(a -> b, over = start..end)`"
                raise Mismatch("E024", f"`{shape}` takes one change, then named arguments", help, span=span)
            change = value
        elif name not in allowed:
            takes, near = f"it takes {', '.join(f'`{a}`' for a in listed)}", closest(name, listed)
            if (meant := ELSEWHERE.get(name)) in listed:  # `end` of other tools is no slip of `ends`
                takes, near = f"use `{meant}`, as in `{EXAMPLES[meant]}`", None
            raise misnamed(f"`{shape}` has no argument `{name}`", name, near, call, takes)
        elif name in given:
            raise Mismatch("E026", f"argument `{name}` is given twice", "keep one of them", subject=name)
        else:
            given[name] = value
    spans = {name: span for name, _, span in call.arguments if name}
    unread = change is not None and _unread(change)
    start, end = (Fraction(0), Fraction(0)) if unread else _change(change, shape, kind)
    window, every, rewind, power, ends = None, None, None, None, None
    for names in (("over", "at"), ("every", "updates"), ("rewind",), ("power",), ("ends",)):
        if any(_unread(given.get(name)) for name in names):
            unread = True
            continue
        with _at(spans, *names):
            match names[0]:
                case "over":
                    window = _window(given, shape)
                case "every":
                    every = _every(given, shape, window, events)
                case "rewind":
                    rewind = _rewind(given, shape, events)
                case "ends":
                    ends = _reading(given, shape, events)
                case _:
                    power = _power(given)
    if unread:
        raise Silent
    if "power" in SHAPES[shape].arguments and "power" not in given:
        raise Mismatch("E053", f"`{shape}` needs `power`", f"write `{shape}(a -> b, power = 2, over = start..end)`")
    return ShapeSegment(shape, start, end, window, every, rewind, power, ends)


def _unread(value: object) -> bool:
    """A part of it could not be evaluated; the rest of the call is judged all the same."""
    ends = (value.start, value.end) if isinstance(value, Arrow) else (value,)
    ends = (value.low, value.high) if isinstance(value, Between) else ends
    return any(isinstance(end, Poison) for end in ends)


@contextmanager
def _at(spans: Mapping[str, Span], *names: str) -> Iterator[None]:
    """A value of the wrong type is shown at the argument that holds it."""
    try:
        yield
    except Mismatch as mismatch:
        if mismatch.code in ("E024", "E038"):
            mismatch.span = next((spans[n] for n in names if n in spans), None)
        raise


def _change(change: object, shape: str, kind: Kind) -> tuple[Fraction, Fraction]:
    if isinstance(change, Arrow):
        start, end = _value(change.start, kind), _value(change.end, kind)
        if SHAPES[shape].above_zero and (start <= 0 or end <= 0):
            raise _above_zero()
        return start, end
    if change is None:
        raise Mismatch("E053", f"`{shape}` needs a change", f"write `{shape}(a -> b, over = start..end)`")
    if shape != "constant":
        raise Mismatch("E024", f"`{shape}` needs a change `a -> b`", "a value that does not change is written alone")
    value = _value(change, kind)
    return value, value


def _window(given: dict[str, object], shape: str) -> tuple[Time, Time] | None:
    if "at" in given:
        if shape != "step":
            help = "`at` belongs to `step`; use `over` here"
            raise Mismatch("E051", f"`{shape}` has no argument `at`", help, subject="at")
        if "over" in given:
            raise Mismatch("E054", "`at` and `over` cannot be combined", "keep one of them")
        at = _time(given, "at")
        assert at is not None
        return at, at
    over = given.get("over")
    if over is None:
        if shape == "constant":
            return None
        needs = "`at`" if shape == "step" else "`over`"
        raise Mismatch("E053", f"`{shape}` needs {needs}", "write `over = start..end` for the whole stage")
    if not isinstance(over, Between):
        raise wrong(over, "a window", "write `over = start..end` or `over = 2..28 epochs`")
    ends = []
    for end in (over.low, over.high):
        if not isinstance(end, Time):
            raise wrong(end, "a point in time", "write epochs or steps, or `start` or `end` with a duration added")
        ends.append(end)
    return ends[0], ends[1]


def _every(given: dict[str, object], shape: str, window: object, events: bool) -> Time | None:
    every, updates = given.get("every"), given.get("updates")
    if not events:
        for name in ("every", "updates"):
            if name in given:
                help = "remove it: this value changes at every step"
                raise Mismatch("E051", f"`{name}` has no meaning here", help, subject=name)
        return None
    if every is not None and updates is not None:
        raise Mismatch("E054", "`every` and `updates` cannot be combined", "keep one of them")
    if updates is not None:
        if not isinstance(updates, Rate) or updates.value <= 0:
            raise wrong(updates, "a rate", "write `updates = 10 per epoch`")
        return Time(epochs=1 / updates.value)
    if every is None and window is not None and SHAPES[shape].moves:
        raise Mismatch(
            "E053",
            "a sparsity schedule over a window needs pruning events",
            "add `updates = 10 per epoch` or `every = 1 epoch`",
        )
    return _time(given, "every")


def _rewind(given: dict[str, object], shape: str, events: bool) -> Time | None:
    if "rewind" in given and (events or not SHAPES[shape].moves):
        why = "masked weights stay masked" if events else f"`{shape}` cannot restart"
        raise Mismatch("E051", "`rewind` has no meaning here", f"remove it: {why}", subject="rewind")
    return _time(given, "rewind")


def _reading(given: dict[str, object], shape: str, events: bool) -> Literal["after", "last"] | None:
    if "ends" not in given:
        return None
    if events or not SHAPES[shape].moves:
        why = "the last pruning event always reaches the end value" if events else f"`{shape}` has no end value"
        raise Mismatch("E051", "`ends` has no meaning here", f"remove it: {why}", subject="ends")
    return ENDS.read(given["ends"])  # type: ignore[return-value]


def _time(given: dict[str, object], name: str) -> Time | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, Time):
        raise wrong(value, f"a number of epochs or steps for `{name}`", f"write `{name} = 2 epochs`")
    if name != "at":
        _longer(name, value)
    return value


def _longer(name: str, value: Time) -> None:
    if value.epochs < 0 or value.steps < 0 or not (value.epochs or value.steps):
        raise Mismatch("E038", f"`{name}` must be greater than zero", f"write `{name} = 1 epoch`")


def _above_zero() -> Mismatch:
    help = "`exponential` cannot reach 0; use `linear` or `cubic`"
    return Mismatch("E038", "`exponential` needs two values greater than zero", help)


def _power(given: dict[str, object]) -> Fraction | None:
    value = given.get("power")
    if value is None:
        return None
    if not isinstance(value, Quantity) or value.unit is not None or value.value <= 0:
        raise wrong(value, "a positive number for `power`")
    return value.value


def _value(value: object, kind: Kind) -> Fraction:
    result = kind.read(value)
    assert isinstance(result, Fraction)
    return result
