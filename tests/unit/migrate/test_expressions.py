"""Formulas are read as arithmetic on names, and as nothing else."""

from __future__ import annotations

from fractions import Fraction

import pytest

from recipelang.migrate import expressions as x

KNOWN = {"epochs": Fraction(30), "rate": Fraction("8e-5")}


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
    ],
)
def test_values_are_exact(text: str, value: Fraction) -> None:
    assert x.value(x.read(text), KNOWN) == value


@pytest.mark.parametrize(
    "text",
    ["", "2 +", "(2", "2)", "max(1, 2)", "__import__('os')", "a.b", "2 ** 9", "a[0]", "1 if a else 2", "٣", "((" * 50],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(x.NotRead):
        x.read(text)


def test_sizes_are_bounded() -> None:
    with pytest.raises(x.NotRead):
        x.read("+".join(["1"] * 200))
    with pytest.raises(x.NotRead):
        x.value(x.read("*".join(["1e90"] * 9)), {})
    with pytest.raises(x.NotRead):
        x.value(x.read("1 / 0"), {})
