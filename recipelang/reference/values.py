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
        "Numbers are exact: `0.1` is one tenth, without rounding, up to the plan. Units are checked: a value "
        "with a unit never stands for a plain number or for another unit. The left end of a range takes the unit of the "
        "right: `2..28 epochs`.",
        "## Types\n\nThe type of a parameter, after its colon:",
        block("param target: ratio in 50%..99% = 90%\nparam structure: one_of(unstructured, 2:4) = unstructured"),
        table(("type", "values"), _types()),
        "A parameter takes `in a..b` (a range) or `in [a, b]` (a list) after its type, and a default after `=`. "
        "A recipe with a parameter that has no default is a base: `validate` accepts it, `plan` and `run` require a value.",
        "## Units\n\n" + table(("unit", "equals", "measures"), _units()),
        "Write a rate as `10 per epoch`. In a window, a percentage is a share of the stage: `10%..90%`.",
        "## Operators\n\nFrom lowest to highest precedence; operators in one row have equal precedence and group from left to "
        "right. Use parentheses to group.",
        table(("operator", "meaning", "example", "value"), _operators()),
        "Arithmetic checks units: adding epochs to a plain number, or multiplying epochs by epochs, is an error (`E023`).",
        "## Reserved words\n\nThese words cannot be names of parameters, lets or attributes: "
        + ", ".join(map(code, sorted(KEYWORDS)))
        + ".",
    )


def _types() -> Iterator[tuple[str, str]]:
    for name, kind in TYPES.items():
        yield code(name), kind.doc
    yield code("one_of(A, B)"), "one of the listed values: names, patterns or numbers"


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
