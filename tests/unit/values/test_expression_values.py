"""Expressions: units, exactness, comparisons, ranges, cycles."""

from fractions import Fraction

import pytest

from recipelang.kinds.text import show
from tests.reading import checked, codes, sound, value_of


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("2 epochs + 3 epochs", "5 epochs"),
        ("2 epochs + 100 steps", "2 epochs + 100 steps"),
        ("2 epochs + 100 steps - 1 epoch", "1 epoch + 100 steps"),
        ("3 * 2 epochs", "6 epochs"),
        ("2 epochs * 3", "6 epochs"),
        ("6 epochs / 4", "1.5 epochs"),
        ("6 epochs / 4 epochs", "1.5"),
        ("8 steps / 4 steps", "2"),
        ("90% + 5%", "95%"),
        ("1 - 90%", "0.1"),
        ("50% * 50%", "25%"),
        ("0.1 + 0.2", "0.3"),
        ("1 / 3", "(1/3)"),
        ("1 / 3 * 3", "1"),
        ("8e-5 / 8", "1e-5"),
        ("1 GB + 24 MB", "1024000000 B"),
        ("1 KiB", "1024 B"),
        ("2 h + 30 min", "9000 s"),
        ("10 per epoch * 2", "20 per epoch"),
        ("20 per epoch / 10 per epoch", "2"),
        ("-(2 epochs)", "-2 epochs"),
        ("- -3", "3"),
        ("2 + 3 * 4 - 6 / 2", "11"),
        ("(2 + 3) * 4", "20"),
        ("2..28 epochs", "2 epochs..28 epochs"),
        ("2..28 steps", "2 steps..28 steps"),
        ("0..5 GB", "0 B..5000000000 B"),
        ("50%..99%", "50%..99%"),
        ("90% ± 0.1%", "90% ± 0.1%"),
        ("if warm > 1 epoch then 1 else 2", "1"),
        ("if false then 1 / 0 else 2", "2"),
        ("false and 1 / 0", "false"),
        ("true or 1 / 0", "true"),
        ("not true or true", "true"),
        ("[1, 2 epochs, 2:4]", "[1, 2 epochs, 2:4]"),
    ],
)
def test_value_of_an_expression(expression, shown):
    value, found = value_of(expression)
    assert (show(value), found) == (shown, [])


@pytest.mark.parametrize(
    "expression",
    [
        "2 epochs + 1",
        "1 + 2 epochs",
        "warm - 2",
        "1 GB + 1",
        "100 tokens + 1 sample",
        "10 per epoch + 1",
        "2 epochs * 2 epochs",
        "6 / 3 epochs",
        "6 epochs / 3 steps",
        "10 epochs * 10 per epoch",
        "(1 epoch + 1 step) / 2 epochs",
        "1 epoch == 1 step",
        "1 epoch > 1",
        "2 epochs + 1 step == 1 epoch",
        "1 epoch in 1..2",
        "1 == 2 ± 1 epoch",
    ],
)
def test_units_that_do_not_go_together(expression):
    assert value_of(expression) == (None, ["E023"])


@pytest.mark.parametrize("expression", ["1 / 0", "1 / 0%", "2 epochs / 0", "1 epoch / 0 epochs", "1 / (warm - warm)"])
def test_division_by_zero_or_by_a_length_is_an_error(expression):
    assert value_of(expression)[1] == (["E023"] if "(warm" in expression else ["E030"])


@pytest.mark.parametrize(
    "expression",
    [
        '"a" + "b"',
        "[1] + [2]",
        "true + 1",
        "none + 1",
        '-"x"',
        "not 1",
        "1 and true",
        "!1",
        "@query & 1",
        "if 1 then 2 else 3",
        '"a" < "b"',
        "true < false",
        "1 in 2",
        "2 ± 1 < 3",
        "0.9 < 0.95 ± 1%",
    ],
)
def test_operators_on_values_they_do_not_take(expression):
    assert value_of(expression) == (None, ["E024"])


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("90% == 0.9", True),
        ("1 epoch == 1.0 epochs", True),
        ("1 epoch + 1 step > 1 epoch", True),
        ("2:4 == 2:4", True),
        ("2:4 != 4:8", True),
        ("none == none", True),
        ("none == 1", False),
        ('"a" == "a"', True),
        ("[1, 2] == [1, 2.0]", True),
        ("0.9 == 90% ± 1%", True),
        ("0.9 == 0.95 ± 1%", False),
        ("0.95 == 0.9 ± 5%", True),
        ("0.9 != 0.95 ± 1%", True),
        ("1 epoch == 2 epochs ± 1 epoch", True),
        ("1 epoch == 2 epochs ± 0.5 epochs", False),
        ("0.5 in 50%..60%", True),
        ("0.6 in 50%..60%", True),
        ("0.61 in 50%..60%", False),
        ("1 epoch in 0..2 epochs", True),
        ("3 in [1, 2]", False),
        ("2:4 in [2:4, 4:8]", True),
    ],
)
def test_comparisons(expression, value):
    assert value_of(expression) == (value, [])


@pytest.mark.parametrize("expression", ["true == 1", '1 == "1"', "2:4 == 0.5", "1 == @linear", "[1] == 1"])
def test_unlike_things_are_never_just_unequal(expression):
    assert value_of(expression) == (None, ["E024"])


def test_a_tolerance_is_a_number_and_not_negative():
    assert value_of("1 == 2 ± -5") == (None, ["E038"])
    assert value_of("1 == 2 ± often") == (None, ["E022"])
    assert value_of('1 == 2 ± "5"') == (None, ["E024"])


CHOICE = "param way: one_of(magnitude, movement, 2:4) = magnitude"


@pytest.mark.parametrize(
    ("expression", "value"), [("way == magnitude", True), ("way != movement", True), ("way in [movement, 2:4]", False)]
)
def test_names_compare_with_the_values_a_parameter_can_have(expression, value):
    assert value_of(expression, CHOICE) == (value, [])


@pytest.mark.parametrize("expression", ["way == magnitud", "magnitud != way", "way in [movement, magnitud]"])
def test_a_name_that_a_parameter_can_not_have_is_unknown(expression):
    text = sound(add=f"{CHOICE}\nlet it = {expression}\n")
    (found,) = checked(text).diagnostics
    assert (found.code, found.help) == ("E022", ("did you mean `magnitude`?",))
    assert text[found.primary.span.start : found.primary.span.end] == "magnitud"


def test_two_bare_names_are_not_compared():
    assert "E022" in value_of("uniform == unifrm")[1]


def test_the_name_unstructured_is_the_pattern():
    before = "param shape: pattern = unstructured"
    assert value_of("shape == unstructured", before) == (True, [])
    assert value_of("shape == 2:4", before) == (False, [])
    assert value_of("shape == unstructred", before)[1] == ["E022"]


@pytest.mark.parametrize(("pattern", "code"), [("4:2", "E038"), ("0:4", "E038"), ("4:4", None)])
def test_a_pattern_keeps_some_and_at_most_all(pattern, code):
    assert value_of(pattern)[1] == ([code] if code else [])


@pytest.mark.parametrize(
    ("expression", "fix"),
    [("2 epocs", "epochs"), ("1 epocs", "epoch"), ("5 KB", "kB"), ("3 tokns", "tokens"), ("1 Epoch", "epoch")],
)
def test_unknown_units_are_named_with_the_nearest(expression, fix):
    (found,) = checked(sound(add=f"let it = {expression}\n")).diagnostics
    assert found.code == "E025"
    assert found.fixes[0].edits[0].text == fix


def test_a_rate_is_per_epoch():
    assert value_of("10 per step")[1] == ["E025"]
    assert value_of("10 steps per epoch")[1] == ["E024"]


def test_an_unknown_name_suggests_what_is_defined():
    (found,) = checked(sound(add="let it = wram + 1 epoch\n")).diagnostics
    assert (found.code, found.fixes[0].edits[0].text) == ("E022", "warm")


def test_a_cycle_is_shown_with_its_path():
    found = checked(sound(("let warm = 2 epochs", "let warm = cool\nlet cool = hot\nlet hot = warm"))).diagnostics
    (d,) = found
    assert (d.code, d.notes) == ("E021", ("the cycle is warm -> cool -> hot -> warm",))
    assert [label.text for label in d.secondary] == ["part of the cycle"] * 2


def test_values_do_not_depend_on_the_order_of_definitions():
    assert value_of("later * 2", "")[1] == ["E022"]
    assert value_of("later * 2\nlet later = 4")[0].value == 8


def test_one_mistake_is_said_once_however_often_the_value_is_used():
    text = sound(("let warm = 2 epochs", "let warm = 2 epocs"), add="let a = warm + warm\nlet b = [a, warm]\n")
    assert codes(text) == ["E025"]


def test_a_change_from_seventy_to_a_ratio_offers_the_percent_sign():
    text = sound(("cubic(70% -> target", "cubic(70 -> target"))
    (found,) = checked(text).diagnostics
    assert (found.code, found.message) == ("E038", "70 is outside 0%..100%")
    edit = found.fixes[0].edits[0]
    assert (found.fixes[0].applicability, edit.text) == ("safe", "70%")
    assert text[edit.span.start : edit.span.end] == "70"


@pytest.mark.parametrize(("value", "fix"), [("90", "90%"), ("2.5", "2.5%"), ("100", "100%")])
def test_a_ratio_outside_its_range_offers_percent(value, fix):
    (found,) = checked(sound(("hardness = 100%", f"hardness = {value}"))).diagnostics
    assert (found.code, found.fixes[0].edits[0].text) == ("E038", fix)


@pytest.mark.parametrize("value", ["-1", "150%", "101", "-5%"])
def test_a_ratio_that_percent_would_not_mend_has_no_fix(value):
    (found,) = checked(sound(("hardness = 100%", f"hardness = {value}"))).diagnostics
    assert (found.code, found.fixes) == ("E038", ())


def test_percent_is_shown_as_it_was_written():
    (found,) = checked(sound(("hardness = 100%", "hardness = 150%"))).diagnostics
    assert found.message == "150% is outside 0%..100%"


def test_thirds_stay_exact():
    assert value_of("(1/3 + 1/3 + 1/3) == 1") == (True, [])
    assert value_of("1/3")[0].value == Fraction(1, 3)
