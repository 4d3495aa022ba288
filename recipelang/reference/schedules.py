"""The shapes of values that change over time, from `schedules/shapes.py`, and their arguments."""

from __future__ import annotations

from fractions import Fraction

from recipelang.kinds.schedule import ARGUMENTS
from recipelang.reference.markdown import block, code, page, table
from recipelang.schedules.shapes import SHAPES, value

#: shares of the way at which the table shows a shape
AT = tuple(Fraction(i, 4) for i in range(5))
REPEATED = (
    "`each([...])` in a stage repeats it, once for each value. Every repetition is a stage of its own: it starts with the "
    "model that the one before left, masks included, with a new optimizer and its own decay of the learning rate. This "
    "ladder prunes to 50 %, trains two epochs, prunes to 67 %, and so on:"
)
#: a test plans it
LADDER = """stage ladder {
  length        = each([2 epochs, 2 epochs, 4 epochs])
  batch         = 16
  learning_rate = linear(8e-5 -> 0, over = start..end)
  prune weights { targets = @linear & @encoder, method = magnitude, sparsity = each([50%, 67%, 75%]) }
}
expect stage.ladder_1.dev.f1 >= 85%
expect stage.ladder.dev.f1 >= 80%"""
REPEATED_RULES = (
    "The stages are `ladder_1`, `ladder_2` and, at last, `ladder`: the last one has the name that is written, so "
    "`stage.ladder` is the end of the ladder. Any value in a stage, or a part of it, can be `each([...])`; lists of one stage "
    "have equally many values (E267), at most 64 (E270), and may be named by a `let`: `each(targets)`. What is planned, "
    "trained and claimed equals the stages written out one by one, bit for bit, and so do the digests."
)
#: `exponential` cannot begin at nought
START, END = Fraction(1, 100), Fraction(1)


def text() -> str:
    return page(
        "Schedules",
        "Write a constant value alone: `90%`, `5.5`. Write a changing value as a shape with a change `a -> b` and a window: "
        "`linear(8e-5 -> 0, over = start..end)`. A list `[linear(...), linear(...)]` joins several shapes in time. The "
        "window `over` is relative to the stage: `start..end` is the whole stage, `10%..90%` a part of it, and "
        "`start + 2 epochs .. end` begins after two epochs.",
        "A sparsity changes only at pruning events, so its window needs `every` or `updates`. Both ends of the window are "
        "events; the last event reaches the last value exactly, and the value stays.",
        "A learning rate or temperature changes at every step and is read at the start of the step. It reaches its last "
        "value after the last step of the window, as in the schedulers of transformers, so that no step has a rate of 0. "
        "With `ends = last`, it reaches its last value on the last step of the window or cycle instead, as in SparseML's "
        "restarted decays.",
        "## Shapes\n\n" + table(("shape", "description", "value at x"), map(_shape, SHAPES)),
        block("\n".join(shape.example for shape in SHAPES.values())),
        "## Values\n\n" + f"The values of each shape from {_percent(START)} to {_percent(END)}"
        f" (`polynomial` with power 2):\n\n{_values()}",
        "## Arguments\n\n" + table(("argument", "type", "description"), map(_argument, ARGUMENTS)),
        "## Repeat a stage\n\n" + REPEATED,
        block(LADDER),
        REPEATED_RULES,
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
        if SHAPES[name].moves
    ]
    return table(("shape", *(f"x = {float(x):g}" for x in AT)), rows)


def _percent(value: Fraction) -> str:
    return f"{float(value) * 100:.3g}%"
