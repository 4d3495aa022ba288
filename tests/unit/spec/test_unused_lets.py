"""Every word of a let means something, also where nothing uses the let; and what stands in strings."""

import pytest

from tests.reading import checked, recipe_of, sound

WRONG = [
    ("let m = magnitud", "unknown name `magnitud`", "magnitude"),
    ("let m = [fp32, bf61]", "unknown name `bf61`", "bf16"),
    ("let m = if target > 80% then magnitude else movemnt", "unknown name `movemnt`", "movement"),
    ("let m = liner(1 -> 2, over = 0..2 epochs)", "unknown name `liner`", "linear"),
    ("let m = magnitude(scop = uniform)", "`magnitude` has no argument `scop`", "scope"),
    ("let m = magnitude(scope = unform)", "unknown name `unform`", "uniform"),
    ("let m = linear(1 -> 2, ovr = 0..2 epochs)", "`linear` has no argument `ovr`", "over"),
    ("let m = stage.gradul", "no stage is named `gradul`", "stage.gradual"),
    ("let m = targte\nlet n = m", "unknown name `targte`", "target"),
    ("let m = warm * 2 + wram", "unknown name `wram`", "warm"),
    ("let m = layrs(0..5)", "unknown name `layrs`", "layers"),
]


@pytest.mark.parametrize(("line", "message", "meant"), WRONG)
def test_a_misspelt_word_in_a_let_that_nothing_uses_is_one_error_at_the_word(line, message, meant):
    text = sound(add=line + "\n")
    (found,) = checked(text).diagnostics.errors
    assert (found.message, found.help) == (message, (f"did you mean `{meant}`?",))
    at = found.primary.span
    assert text[at.start : at.end] in message or text[at.start : at.end] in line


@pytest.mark.parametrize(
    "line",
    [
        "let m = magnitude",
        "let m = [fp32, bf16]",
        "let m = obert(block = 4, scope = global)",
        "let m = cubic(0% -> 90%, over = 0..2 epochs, updates = 10 per epoch)",
        "let m = hidden(0 -> 1, weight = 0.1)",
        "let m = @linear & layers(0..5)",
        "let m = stage.gradual",
        "let m = dev",
        "let m = block(4, 1)",
        "param speed: one_of(fast, slow) = fast\nlet m = [fast, speed]",
        "param speed: one_of(fast, slow) = fast\nlet m = if speed == slow then magnitude else movement",
    ],
)
def test_a_word_that_some_attribute_takes_or_some_block_has_is_known(line):
    assert [d.message for d in checked(sound(add=line + "\n")).diagnostics] == []


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("param speed: one_of(fast, slow) = fast", "fast"),
        ("param speed: one_of(fast, 2:4) = 2:4", "2:4"),
        ("let speed = magnitude", "magnitude"),
        ("param speed: ratio = 90%", "90%"),
    ],
)
def test_a_string_holds_whatever_name_a_parameter_has_been_given(lines, text):
    recipe = recipe_of(sound(add=f'{lines}\nlet note = "at ${{speed}}"\n'))
    assert recipe.evaluator.definition_value("note") == f"at {text}"


def test_a_name_in_a_string_that_is_not_defined_is_an_error_even_if_an_attribute_takes_it():
    (found,) = checked(sound(add='let note = "by ${magnitude}"\n')).diagnostics.errors
    assert (found.code, found.message) == ("E022", "unknown name `magnitude`")
