"""What a search may choose from, and the texts of what it chose."""

import pytest

from recipelang.source import Diagnostics, Source
from recipelang.study.ranges import NotARange, range_of, value_of
from recipelang.syntax import parse, tree as t


def expr(text: str) -> t.Expr:
    parsed = parse(Source("s", f'recipe 1 "s"\nx = {text}\n'), Diagnostics()).recipe
    assert parsed is not None
    (attribute,) = parsed.statements
    assert isinstance(attribute, t.Attribute)
    return attribute.value


@pytest.mark.parametrize(
    ("text", "ends", "chosen", "value"),
    [
        ("50%..90%", ("50%", "90%"), 0.7203, "72.03%"),
        ("50%..90%", ("50%", "90%"), 0.89999999, "90%"),
        ("log(1e-5..1e-3)", ("1e-5", "0.001"), 0.000260849, "2.608e-4"),
        ("8..64", ("8", "64"), 17, "17"),
        ("0.5..2", ("0.5", "2"), 1.23456, "1.235"),
        ("1 epoch..4 epochs", None, 2, None),
        ("-1..1", ("-1", "1"), 0, "0"),
    ],
)
def test_ranges_and_their_values(text, ends, chosen, value):
    found = range_of("x", expr(text), ())
    if ends is None:
        assert found.whole and value_of(found, chosen).startswith("2 epoch")
        return
    assert (found.ends, value_of(found, chosen)) == (ends, value)


def test_a_list_is_a_choice():
    found = range_of("x", expr("[8, 16]"), ("8", "16"))
    assert found.ends == ("8", "16") and value_of(found, 1) == "16"


@pytest.mark.parametrize(
    "text",
    ["90%..50%", "3..3", "log(0..1)", "log(-1..1)", "50%..1", "1 epoch..4 steps", "8", "a..b", "[8]", "log(3)", '"x"'],
)
def test_what_gives_nothing_to_choose_from(text):
    with pytest.raises(NotARange):
        range_of("x", expr(text), ("8",))
