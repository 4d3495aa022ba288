"""Formulas are read as arithmetic on names, and as nothing else."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from recipelang.migrate import expressions as x

KNOWN = {"epochs": Fraction(30), "rate": Fraction("8e-5")}


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sums = st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "**", "//"]), inner)
    return (
        sums
        | st.builds("{}({})".format, st.sampled_from(["abs", "-"]), inner)
        | st.builds("max({}, {})".format, inner, inner)
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("epochs", 30),
        ("epochs - 2", 28),
        ("(epochs - 2) / 4", 7),
        ("epochs - 2 - 3", 25),
        ("2 + 3 * epochs", 92),
        ("-epochs + 31.5", Fraction(3, 2)),
        ("rate * .5", Fraction("4e-5")),
        ("1e1", 10),
        ("epochs // 4", 7),
        ("epochs % 4", 2),
        ("-7 // 2", -4),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("2 ** -1", Fraction(1, 2)),
        ("4 ** 0.5", 2),
        ("int(epochs * 0.99)", 29),
        ("int(0.29 * 100)", 28),
        ("max(2, epochs - 29, 1)", 2),
        ("min(epochs, 3) + abs(-1)", 4),
        ("round(2.5)", 2),
        ("round(epochs / 7, 2)", Fraction("4.29")),
        ("float(int(max(1.5, 2)))", 2),
    ],
)
def test_values_are_exact(text: str, value: Fraction) -> None:
    assert x.value(x.read(text), KNOWN) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2 +",
        "(2",
        "2)",
        "__import__('os')",
        "a.b",
        "a[0]",
        "1 if a else 2",
        "٣",
        "((" * 50,
        "sum(1, 2)",
        "max(1)",
        "int(1, 2)",
        "max(1, 2",
        "max()",
        "2 ** ",
        "abs(*a)",
        "2 & 1",
        "-" * 50 + "1",
        "2**" * 50 + "1",
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(x.NotRead):
        x.read(text)


def test_sizes_are_bounded() -> None:
    with pytest.raises(x.NotRead):
        x.read("+".join(["1"] * 200))
    with pytest.raises(x.NotRead):
        x.value(x.read("*".join(["1e90"] * 9)), {})


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0",
        "1 // 0",
        "1 % 0",
        "0 ** -1",
        "(-1) ** 0.5",
        "9 ** 9 ** 9",
        "9 ** 64 ** 1 * 9 ** 64 * 9 ** 64",
        "int(" + "1e99 * " * 5 + "1)",
        "1e99 * 1e99 * 1e99 * 1e99 // 1e99 // 7 * 0",
        "round(1, 1e9)",
        "1e99 ** 64",
    ],
)  # fmt: skip
def test_what_has_no_value_is_refused(text: str) -> None:
    with pytest.raises(x.NotRead):
        x.value(x.read(text), {})


@given(st.recursive(st.sampled_from(["e", "2", "0.29", "100", "-3"]), _larger, max_leaves=6))
def test_values_are_those_of_python(text: str) -> None:
    """The tool's evaluator was Python's own operators on floats."""
    try:
        theirs = eval(text, {"e": 30.0, "abs": abs, "int": int, "max": max, "min": min, "round": round})
    except (ZeroDivisionError, OverflowError):
        with pytest.raises(x.NotRead):
            x.value(x.read(text), {"e": Fraction(30)})
        return
    try:
        ours = x.value(x.read(text), {"e": Fraction(30)})
    except x.NotRead as refused:
        # of a complex number on the way Python's `abs` makes a float again
        assert "too large" in str(refused) or "negative number" in str(refused) or isinstance(theirs, complex)
        return
    assert float(ours) == pytest.approx(float(theirs))
