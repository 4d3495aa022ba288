"""Findings on the screen: carets under the right characters, whatever the text holds."""

import pytest

from recipelang.source import Diagnostic, Diagnostics, Edit, Fix, Label, Source, Span
from recipelang.source.diagnostic import LIMIT
from recipelang.source.render import concise, render
from recipelang.source.suggest import nearest
from tests.reading import checked, sound


def shown(text: str, *labels: tuple[str | tuple[int, int], str], name: str = "a.recipe", **rest) -> list[str]:
    """The rendered lines of a finding whose labels stand at (the first) given pieces of the text."""
    source = Source(name, text)
    spans = [Span(*at) if isinstance(at, tuple) else Span(text.index(at), text.index(at) + len(at)) for at, _ in labels]
    made = [Label(source, span, said) for span, (_, said) in zip(spans, labels, strict=True)]
    d = Diagnostic("E001", rest.pop("message", "wrong"), made[0], tuple(made[1:]), **rest)
    return render([d]).split("\n")


def test_a_finding_in_full():
    assert shown("a = 1\nb = 2\n", ("2", "here"), help=("write 3",), notes=("it is odd",)) == [
        "error[E001]: wrong",
        " --> a.recipe:2:5",
        "  |",
        "2 | b = 2",
        "  |     ^ here",
        "  = help: write 3",
        "  = note: it is odd",
        "  = note: more in `recipelang explain E001`",
    ]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = !\n", "a = !", 4),
        ("\ta =\t!\n", "    a =    !", 11),
        ("漢字 = !\n", "漢字 = !", 7),
        ("'±' = !\n", "'±' = !", 6),
        ("'e\u0301' = !\n", "'e\u0301' = !", 6),
        ("'\u2764\ufe0f' = !\n", "'\u2764\ufe0f' = !", 6),
        ("'\U0001f600' !\n", "'\U0001f600' !", 5),
        ("'\x07' !\n", "'\\u{7}' !", 8),
    ],
)
def test_the_caret_stands_under_its_character(text, line, column):
    lines = shown(text, ("!", "here"))
    assert lines[3] == f"1 | {line}"
    assert lines[4] == "  | " + " " * column + "^ here"


@pytest.mark.parametrize(
    ("text", "place", "line", "caret"),
    [
        ("a = 1\n", (6, 6), "2 |", "  | ^ here"),
        ("a = 1", (5, 5), "1 | a = 1", "  |      ^ here"),
        ("", (0, 0), "1 |", "  | ^ here"),
        ("\n", (0, 1), "1 |", "  | ^ here"),
        ("a = {\n b\n}\n", (4, 11), "1 | a = {", "  |     ^ here"),
        ("a = 1\r\n", (4, 7), "1 | a = 1", "  |     ^ here"),
    ],
)
def test_places_at_the_ends_of_lines_and_of_the_file(text, place, line, caret):
    assert shown(text, (place, "here"))[3:5] == [line, caret]


def test_the_empty_file_is_shown():
    found = checked("").diagnostics.sorted()[0]
    assert render([found]).split("\n")[1:5] == [" --> a.recipe:1:1", "  |", "1 |", "  | ^"]


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        ([("aaa", "one"), ("bbb", "two")], ["^^^ --- two", "one"]),
        ([("bbb", "one"), ("aaa", "two")], ["--- ^^^ one", "two"]),
        ([("aaa", "one"), ("bbb", "two"), ("ccc", "three")], ["^^^ --- --- three", "|   two", "one"]),
        ([("aaa", ""), ("bbb", "two")], ["^^^ --- two"]),
        ([("aaa", "one"), ("bbb", "")], ["^^^ ---", "one"]),
    ],
)
def test_labels_on_one_line_hang_below_each_other(labels, rows):
    lines = shown("aaa bbb ccc\n", *labels)
    assert lines[4 : 4 + len(rows)] == [f"  | {row}" for row in rows]


def test_labels_on_several_lines_leave_out_what_is_between():
    assert shown("aaa\nb\nc\nccc\n", ("aaa", "one"), ("ccc", "two"))[3:8] == [
        "1 | aaa",
        "  | ^^^ one",
        "...",
        "4 | ccc",
        "  | --- two",
    ]


@pytest.mark.parametrize(("name", "place"), [("b.recipe", "b.recipe:1:1"), ("-p target", "-p target")])
def test_labels_in_another_text_are_shown_with_its_name(name, place):
    other = Label(Source(name, "97"), Span(0, 2), "given here")
    own = Label(Source("a.recipe", "a = 1\n"), Span(0, 1))
    assert f" ::: {place}" in render([Diagnostic("E038", "wrong", own, (other,))]).split("\n")


def test_the_margin_is_as_wide_as_the_largest_line_number():
    lines = shown("a\n" * 120 + "x\n", ("x", "here"))
    assert lines[1:5] == ["   --> a.recipe:121:1", "    |", "121 | x", "    | ^ here"]


def test_a_long_line_is_cut_to_what_is_near_the_place():
    text = "x" * 5_000 + "!" + "y" * 5_000 + "\n"
    lines = shown(text, ("!", "here"), fixes=(Fix("mend", (Edit(Span(5_000, 5_001), "?"),)),))
    assert max(map(len, lines)) < 200
    assert lines[1] == " --> a.recipe:1:5001"
    assert lines[3][lines[4].index("^")] == "!"
    assert lines[3].startswith("1 | ...xxx")
    assert lines[3].endswith("yyy...")
    assert next(line for line in lines if line.startswith("1 + ")).count("?") == 1


def test_a_second_label_far_along_a_long_line_stays_within_it():
    text = "!" + "y" * 5_000 + "?\n"
    assert max(map(len, shown(text, ("!", "one"), ("?", "two")))) < 200


def test_control_and_bidirectional_characters_are_made_visible_everywhere():
    lines = shown(
        "a \x1b[31m \u202e !\n",
        ("!", "label \x07"),
        name="a\x1b.recipe",
        message="bad \u2066 name",
        help=("h\x08",),
        notes=("n\x9f",),
    )
    text = "\n".join(lines)
    assert not set(text) & {"\x1b", "\u202e", "\x07", "\u2066", "\x08", "\x9f"}
    for piece in ("\\u{1b}", "\\u{202e}", "\\u{7}", "\\u{2066}", "\\u{8}", "\\u{9f}"):
        assert piece in text


def test_what_is_quoted_from_elsewhere_stays_on_its_line():
    lines = shown("a = 1\n", ("1", "two\nlines"), message="not\na value", help=("a\nb",), notes=("c\nd",))
    assert (len(lines), lines[0]) == (8, "error[E001]: not\\na value")
    d = Diagnostic("E001", "not\na value", Label(Source("a\n.recipe", "x"), Span(0, 1)))
    assert concise([d]) == "a\\n.recipe:1:1: error[E001]: not\\na value"


def test_a_fix_shows_the_line_before_and_after():
    (found,) = checked(sound(("hardness = 100%", "hardness = 90"))).diagnostics
    lines = render([found]).split("\n")
    assert [line.split(" ", 1)[1] for line in lines if line[3:4] in "-+" and line[:2].isdigit()] == [
        '-   distill { teacher = "hf://owner/teacher", hardness = 90, temperature = 5.5 }',
        '+   distill { teacher = "hf://owner/teacher", hardness = 90%, temperature = 5.5 }',
    ]


def test_colour_changes_nothing_but_colour():
    import re

    (found,) = checked(sound(("hardness = 100%", "hardness = 90"))).diagnostics
    painted = render([found], colour=True)
    assert "\x1b[" in painted
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == render([found])


# ------------------------------------------------------------------- short and machine
def test_concise_is_one_line_a_finding():
    found = checked(sound(("batch         = 16", "batch = 0"), ("5.5", "0"))).diagnostics.sorted()
    assert concise(found) == (
        "a.recipe:12:11: error[E038]: 0 is too small\na.recipe:22:76: error[E038]: 0 is too small"
    )


def test_findings_without_a_place_have_no_position():
    (found,) = checked(sound(), other="1").diagnostics
    assert concise([found]) == "error[E036]: the recipe has no parameter `other`"
    assert "-->" not in render([found])


def test_more_than_fifty_findings_are_counted_and_not_shown():
    found = checked("recipe 1\n" + "let x = = 1\n" * 80).diagnostics.sorted()
    assert len(found) > LIMIT == 50
    more = len(found) - LIMIT
    assert render(found).count("error[") == LIMIT
    assert render(found).endswith(f"and {more} more")
    assert concise(found).splitlines()[LIMIT:] == [f"and {more} more"]


def test_equal_findings_are_kept_once_and_read_in_order():
    source, found = Source("a", "one two"), Diagnostics()
    late, early, none = Label(source, Span(4, 7)), Label(source, Span(0, 3)), None
    for at in (none, late, early, late):
        found.add(Diagnostic("E001", "m", at))
    assert [d.primary for d in found.sorted()] == [early, late, None]


@pytest.mark.parametrize(
    ("word", "candidates", "found"),
    [
        ("sparsty", ["sparsity", "density"], ["sparsity"]),
        ("adma", ["adam", "adamw"], ["adam"]),
        ("c", ["a", "b"], []),
        ("Linear", ["linear"], ["linear"]),
        ("f2", ["f1", "f3", "exact"], ["f1", "f3"]),
        ("xyzzy", ["linear"], []),
        ("linear", ["linear"], []),
    ],
)
def test_suggestions_are_near_and_never_a_word_of_other_letters(word, candidates, found):
    assert nearest(word, candidates) == found
