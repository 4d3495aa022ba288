"""Types of values, units, operators, and the words of the language."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.reference.markdown import block, code, page, table
from recipelang.spec.operators import OPERATORS
from recipelang.spec.params import TYPES
from recipelang.syntax.tokens import KEYWORDS
from recipelang.values.quantities import DIMENSIONS, UNITS

#: the name that a dimension's own unit goes by, where it is not a plural
OWN = {"byte": "B", "second": "s", "x": "x"}


def text() -> str:
    return page(
        "Values, types, units",
        "Numbers are exact: `0.1` is one tenth, and stays so up to the plan. A value with a unit is never taken for "
        "one without, nor one unit for another; the left end of a range takes the unit of the right, as in "
        "`2..28 epochs`.",
        "## Types\n\nThe type of a parameter, after its colon:",
        block("param target: ratio in 50%..99% = 90%\nparam structure: one_of(unstructured, 2:4) = unstructured"),
        table(("type", "how its values are written"), _types()),
        "A parameter takes `in a..b` (a range) or `in [a, b]` (a list) after its type, and a default after `=`. "
        "One without a default makes the recipe a base: `validate` accepts it, `plan` and `run` ask for a value.",
        "## Units\n\n" + table(("unit", "is", "what is counted"), _units()),
        "A rate is written `10 per epoch`. In a window, a percentage is a share of the stage: `10%..90%`.",
        "## Operators\n\nFrom loose to tight; those of one row bind alike, from left to right. Parentheses group.",
        table(("written", "gives", "example", "its value"), _operators()),
        "Arithmetic keeps units: `epochs` are not added to plain numbers, nor multiplied by each other (`E023`).",
        "## Words of the language\n\nThese cannot be names of parameters, lets or attributes: "
        + ", ".join(map(code, sorted(KEYWORDS)))
        + ".",
    )


def _types() -> Iterator[tuple[str, str]]:
    for name, kind in TYPES.items():
        yield code(name), kind.doc
    yield code("one_of(A, B)"), "one of the values listed: names, patterns, numbers"


def _operators() -> Iterator[tuple[str, ...]]:
    for _, written, gives, example, value in OPERATORS:
        yield code(written), gives, code(example), code(value)


def _units() -> Iterator[tuple[str, str, str]]:
    """One row a unit; `epoch` and `epochs` share theirs."""
    for dimension, doc in DIMENSIONS.items():
        own = OWN.get(dimension, f"{dimension}s")
        alike = [unit for unit, (d, factor) in UNITS.items() if d == dimension and factor == 1]
        yield ", ".join(map(code, alike)), "", doc
        for unit, (d, factor) in UNITS.items():
            if d == dimension and factor != 1:
                yield code(unit), f"{int(factor):,} {own}", ""
