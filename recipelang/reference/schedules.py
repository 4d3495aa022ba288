"""The shapes of values that change over time, from `kinds/schedule.py`."""

from __future__ import annotations

from fractions import Fraction

from recipelang.kinds.schedule import ARGUMENTS, SHAPES
from recipelang.reference.markdown import block, code, page, table
from recipelang.schedules.shapes import value

#: shares of the way at which the table shows a shape
AT = tuple(Fraction(i, 4) for i in range(5))
#: `exponential` cannot begin at nought
START, END = Fraction(1, 100), Fraction(1)


def text() -> str:
    return page(
        "Schedules",
        "A value that stays is written alone: `90%`, `5.5`. One that changes is written as a shape with a change "
        "`a -> b` and a window; a list `[linear(...), linear(...)]` joins several in time. The window is `over`, "
        "relative to the stage: `start..end` is all of it, `10%..90%` a share, `start + 2 epochs .. end` begins late.",
        "A sparsity changes at pruning events only, so its window needs `every` or `updates`; both ends of the window are "
        "events, the last one has the last value exactly, and that stays. A learning rate or temperature changes at every "
        "step, is read at the start of its step, and is at its last value after the last step of its window: warm-up and "
        "decay are those of transformers' schedulers, and no step is spent at a rate of 0. `ends = last` puts the last "
        "value on the window's, or the cycle's, last step instead, as SparseML's restarted decays have it.",
        "## Shapes\n\n" + table(("shape", "what it does", "value at x"), map(_shape, SHAPES)),
        block("\n".join(shape.example for shape in SHAPES.values())),
        "## On the way\n\n" + f"What each shape has come to on the way from {_percent(START)} to {_percent(END)}"
        f" (`polynomial` with power 2):\n\n{_values()}",
        "## Arguments\n\n" + table(("argument", "type", "what it says"), map(_argument, ARGUMENTS)),
    )


def _shape(name: str) -> tuple[str, ...]:
    shape = SHAPES[name]
    return code(name), shape.doc, code(shape.formula)


def _argument(name: str) -> tuple[str, ...]:
    kind, doc = ARGUMENTS[name]
    return code(name), code(kind), doc


def _values() -> str:
    rows = [
        (code(name), *(_percent(value(name, START, END, x, Fraction(2))) for x in AT))
        for name in SHAPES
        if name not in ("constant", "step")
    ]
    return table(("shape", *(f"x = {float(x):g}" for x in AT)), rows)


def _percent(value: Fraction) -> str:
    return f"{float(value) * 100:.3g} %"
