"""Arithmetic on numbers of a recipe is arithmetic on fractions."""

import operator
from fractions import Fraction

from hypothesis import given, settings, strategies as st

from recipelang.kinds.text import show
from recipelang.source import Diagnostics, Source
from recipelang.spec.evaluator import Evaluator
from recipelang.syntax import parse
from recipelang.values.quantities import Quantity, round_half_up, show_fraction
from tests.property.examples import examples

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


@st.composite
def literals(draw) -> tuple[str, Fraction]:
    whole, places = draw(st.integers(0, 9999)), draw(st.integers(0, 4))
    text = f"{whole}.{draw(st.integers(0, 10**places - 1)):0{places}d}" if places else str(whole)
    if draw(st.booleans()):
        return text + "%", Fraction(text) / 100
    exponent = draw(st.sampled_from(["", "e-5", "e3"]))
    return text + exponent, Fraction(text + exponent)


@st.composite
def joined(draw, inner) -> tuple[str, Fraction]:
    (left, a), (right, b), sign = draw(inner), draw(inner), draw(st.sampled_from([*"+-*/"]))
    if sign == "/" and b == 0:
        sign = "+"
    return f"({left} {sign} {right})", OPERATORS[sign](a, b)


expressions = st.recursive(literals(), joined, max_leaves=6)


def evaluated(text: str) -> object:
    source, found = Source("a.recipe", f"recipe 1\nlet a = {text}\n"), Diagnostics()
    value = Evaluator(source, found).value(parse(source, found).recipe.statements[0].value)
    assert [d.code for d in found] == []
    return value


@settings(max_examples=examples(80))
@given(expressions)
def test_arithmetic_is_exact(pair):
    text, expected = pair
    assert evaluated(text) == Quantity(expected)


@settings(max_examples=examples(50))
@given(expressions)
def test_a_printed_number_reads_back_as_itself(pair):
    value = Quantity(pair[1])
    assert evaluated(show(value)) == value


@settings(max_examples=examples(60))
@given(st.fractions(max_denominator=10**6))
def test_fractions_are_written_exactly(value):
    assert Fraction(show_fraction(value)) == value


@settings(max_examples=examples(60))
@given(st.fractions(max_denominator=1000))
def test_rounding_is_to_the_nearest_and_half_goes_up(value):
    step = round_half_up(value)
    assert Fraction(-1, 2) < step - value <= Fraction(1, 2)
