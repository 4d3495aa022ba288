"""Characters, numbers, strings, names and line ends, as the language's lexical rules have them."""

from fractions import Fraction

import pytest

from recipelang.source import Diagnostics
from recipelang.syntax import tree as t
from tests.reading import at_lines, codes, parsed, sound, value_of


def value(text: str, rest: str = "") -> tuple[t.Expr, list[str]]:
    """The value of `a = text` and the codes found."""
    result, found = parsed(f"recipe 1\na = {text}\n{rest}")
    return getattr(result.recipe.statements[0], "value", None), [d.code for d in found]


def only(found: Diagnostics) -> str:
    (d,) = found
    return f"{d.code} {d.primary.source.position(d.primary.span.start)} {d.message}"


# ------------------------------------------------------------------------------ numbers
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1_000", 1000),
        ("0.5", Fraction(1, 2)),
        ("8e-5", Fraction(8, 100_000)),
        ("1.25E3", 1250),
        ("1e60", 10**60),
        ("0.1", Fraction(1, 10)),
    ],
)
def test_numbers_are_exact_decimals(text, number):
    node, found = value(text)
    assert (node.value, node.unit, found) == (number, None, [])


@pytest.mark.parametrize("text", [".5", "5.", "+5", "1.5.2", "5 .", "2 : 4", "--"])
def test_other_ways_to_write_a_number_are_refused(text):
    assert value(text)[1] == ["E001"]


@pytest.mark.parametrize("text", ["0x10", "0xff", "0b101", "1e", "12abc"])
def test_letters_after_a_number_are_a_unit_and_must_be_one(text):
    assert value_of(text) == (None, ["E025"])


@pytest.mark.parametrize("text", [".5", "5."])
def test_a_number_without_digits_beside_its_point_is_explained(text):
    (found,) = parsed(f"recipe 1\na = {text}\n")[1]
    assert found.help == ("a number has digits on both sides of its point, as in `0.5`",)


@pytest.mark.parametrize("text", ["1e61", "1e-61", "1e99999", "9" * 41, "0." + "3" * 40])
def test_numbers_beyond_the_limits_are_refused(text):
    assert value(text)[1] == ["E020"]


def test_a_number_of_forty_digits_is_read():
    assert value("9" * 40)[0].value == int("9" * 40)


def test_percent_is_a_hundredth_and_remembers_how_it_was_written():
    node, _ = value("0.1%")
    assert (node.value, node.percent) == (Fraction(1, 1000), True)


def test_percent_stands_right_after_its_number():
    found = parsed("recipe 1\na = 90 %\n")[1]
    assert only(found) == "E002 (2, 8) unexpected character `%`"


def test_n_of_m_is_a_literal_of_its_own():
    node, found = value("2:4")
    assert (node, found) == (t.NM(2, 4, span=node.span), [])


def test_units_follow_with_or_without_a_space():
    assert value("30 epochs")[0] == value("30epochs")[0]


# ------------------------------------------------------------------------------ strings
@pytest.mark.parametrize(
    ("text", "string"),
    [
        (r'"a\nb\t\"\\"', 'a\nb\t"\\'),
        (r'"\u{1F600}\u{41}"', "\U0001f600A"),
        ('"é ± 漢"', "é ± 漢"),
        (r'"\${a}"', "${a}"),
        ('"$ {a} $a"', "$ {a} $a"),
        ('""', ""),
    ],
)
def test_strings_and_their_escapes(text, string):
    node, found = value(text)
    assert found == []
    assert "".join(node.parts) == string


@pytest.mark.parametrize("escape", [r"\q", r"\u{}", r"\u{D800}", r"\u{110000}", r"\u41", r"\x41", r"\'"])
def test_unknown_escapes_are_errors_at_the_escape(escape):
    found = parsed(f'recipe 1\na = "xy{escape}"\n')[1]
    (d,) = found
    assert d.code == "E002"
    assert d.primary.span.start == len('recipe 1\na = "xy')
    assert escape.startswith(d.primary.source.text[d.primary.span.start : d.primary.span.end])


def test_names_are_put_into_strings_with_their_own_spans():
    node, found = value('"n = ${a}, ${ b.c }"')
    assert found == []
    assert [p if isinstance(p, str) else p.names for p in node.parts] == ["n = ", ("a",), ", ", ("b", "c")]
    text = 'recipe 1\na = "n = ${a}, ${ b.c }"\n'
    assert [text[p.span.start : p.span.end] for p in node.parts if not isinstance(p, str)] == ["a", "b.c"]


def test_a_backslash_before_an_interpolation_can_itself_be_escaped():
    node, _ = value(r'"\\${b}"')
    assert [p if isinstance(p, str) else p.text for p in node.parts] == ["\\", "b"]


@pytest.mark.parametrize("text", ['"${"', '"${}"', '"${1}"', '"${a b}"', '"${a.}"', '"${a + b}"', '"${é}"'])
def test_an_interpolation_that_holds_no_name_is_an_error(text):
    assert value(text)[1] == ["E002"]


def test_interpolated_values_are_printed_as_recipes_write_them():
    assert value_of('"${target} of ${warm}"') == ("90% of 2 epochs", [])
    assert value_of('"${nothing}"')[1] == ["E022"]


def test_block_strings_lose_the_indentation_of_their_closing_quotes():
    node, found = value('"""\n    one\n      two\n\n    three\n    """')
    assert (node.parts, found) == (("one\n  two\n\nthree",), [])


def test_block_strings_on_one_line_are_kept_as_they_are():
    assert value('"""a "quoted" word"""')[0].parts == ('a "quoted" word',)


def test_block_strings_mean_the_same_with_either_line_end():
    text = 'recipe 1\na = """\n  one\n  two \\n ${b}\n  """\n'
    unix, windows = (parsed(x)[0].recipe.statements[0].value for x in (text, text.replace("\n", "\r\n")))
    assert unix == windows


def test_places_inside_block_strings_are_those_of_the_source():
    text = 'recipe 1\na = """\n  one ${name}\n  two \\q\n  """\n'
    result, found = parsed(text)
    (path,) = (p for p in result.recipe.statements[0].value.parts if isinstance(p, t.Path))
    assert text[path.span.start : path.span.end] == "name"
    assert only(found) == "E002 (4, 7) unknown escape `\\q`"


def test_regular_expressions_are_taken_as_written():
    assert value(r're"layer\.\d+\.\"x${a}"')[0].regex == r'layer\.\d+\."x${a}'


def test_a_string_that_is_not_closed_spoils_only_its_line():
    result, found = parsed('recipe 1\na = "open\nb = 2\n')
    assert only(found) == "E003 (2, 5) this string is not closed"
    assert [s.name for s in result.recipe.statements] == ["a", "b"]


# ------------------------------------------------------------------ characters and names
HIDDEN = [0x00, 0x07, 0x1B, 0x7F, 0x85, 0x200E, 0x200F, 0x202A, 0x202E, 0x2066, 0x2069, 0xFEFF]


@pytest.mark.parametrize("code", HIDDEN, ids=hex)
@pytest.mark.parametrize("place", ["# a comment {}", 'a = "{}"', "a = 1 {}", "## {} doc", "a{}b = 1"])
def test_hidden_characters_are_refused_wherever_they_stand(code, place):
    text = "recipe 1\n" + place.format(chr(code)) + "\n"
    found = [d for d in parsed(text)[1] if d.code == "E002"]
    (d,) = found
    assert (d.primary.span.start, d.message) == (
        text.index(chr(code)),
        f"character U+{code:04X} is not allowed in a recipe",
    )
    assert d.fixes[0].edits[0].text == ""


def test_tabs_are_white_space():
    assert value("\t1\t")[1] == []


def test_a_carriage_return_belongs_to_a_line_end():
    text = sound().replace("\n", "\r\n")
    assert codes(text) == []
    assert [d.code for d in parsed("recipe 1\na = 1 # hidden\rb = 2\n")[1]] == ["E002"]


@pytest.mark.parametrize("name", ["été", "α", "weïghts", "ｎame"])
def test_names_are_ascii(name):
    assert [d.code for d in parsed(f"recipe 1\n{name} = 1\n")[1]] == ["E002"]


@pytest.mark.parametrize("text", ["'x'", "“x”", "1;", "$b", "90%%"])
def test_one_odd_line_is_one_finding(text):
    assert value(text)[1] == ["E002"]


def test_odd_characters_of_different_lines_are_all_reported():
    assert at_lines(parsed("recipe 1\na = 1;\nb = 'x'\nc = 3;\n")[1]) == [(2, "E002"), (3, "E002"), (4, "E002")]


# -------------------------------------------------------------------------------- words
KEYWORDS = [
    "recipe",
    "extends",
    "use",
    "param",
    "let",
    "set",
    "patch",
    "unset",
    "require",
    "expect",
    "prefer",
    "if",
    "then",
    "else",
    "and",
    "or",
    "not",
    "in",
    "except",
    "per",
    "true",
    "false",
    "none",
    "as",
]


@pytest.mark.parametrize("word", KEYWORDS)
@pytest.mark.parametrize("place", ["{} = 1", "model {{ {} = 1 }}", "let {} = 1", "param {}: int = 1"])
def test_keywords_cannot_be_names(word, place):
    found = parsed("recipe 1\n" + place.format(word) + "\n")[1]
    assert only(found).partition(") ")[2] == f"`{word}` is a keyword and cannot be a name"


@pytest.mark.parametrize("word", ["stage", "prune", "model", "data", "start", "epoch", "linear"])
def test_all_other_words_are_ordinary_names(word):
    assert list(parsed(f"recipe 1\n{word} = 1\n{word} {word} {{ {word} = {word} }}\n")[1]) == []


# -------------------------------------------------------------------------------- lines
@pytest.mark.parametrize(
    "text",
    ["(\n1\n+\n2\n)", "[\n1,\n2,\n]", "f(\n  a = 1,\n  b = 2,\n)", "f(a -> b,\n  over = start\n  ..\n  end)", "[\n\n]"],
)
def test_line_ends_inside_brackets_do_not_count(text):
    assert value(text, "b = 2\n")[1] == []


@pytest.mark.parametrize("text", ["1 +\n2", "1\n+ 2", "\n1", "if a\nthen 1 else 2"])
def test_line_ends_outside_brackets_end_the_statement(text):
    assert "E001" in value(text)[1]


@pytest.mark.parametrize(
    "text",
    [
        "a = (1 + 2\nlet b = 3\n",
        "a = [1, 2\nb { c = 1 }\n",
        "a = f(1\nb = 2\n",
        "a = f(x = [1\nparam b: int = 2\n",
        "a { c = (1\n}\nlet b = 1\n",
    ],
)
def test_an_unclosed_bracket_stays_one_mistake_on_its_line(text):
    assert at_lines(parsed("recipe 1\n" + text)[1]) == [(2, "E001")]


def test_a_missing_comma_between_arguments_on_lines_is_one_mistake():
    assert at_lines(parsed("recipe 1\na = f(1\n  b = 2\n)\nc = 3\n")[1]) == [(2, "E001")]


def test_attributes_share_a_line_only_with_commas():
    assert list(parsed("recipe 1\na { b = 1, c = 2 }\n")[1]) == []
    assert [d.code for d in parsed("recipe 1\na { b = 1, d { } }\n")[1]] == ["E001"]
    assert [d.code for d in parsed("recipe 1\nb = 1, c = 2\n")[1]] == ["E001"]


def test_documentation_belongs_to_the_next_statement():
    recipe = parsed("recipe 1\n# not this\n## one\n## two\nlet a = 1\nlet b = 2 # nor this\n")[0].recipe
    assert [s.doc for s in recipe.statements] == ["one\ntwo", ""]


def test_documentation_between_header_and_first_block_is_the_blocks():
    recipe = parsed('## the recipe\nrecipe 1 "x"\n\n## who wrote it\nmeta { }\n')[0].recipe
    assert (recipe.doc, recipe.statements[0].doc) == ("the recipe", "who wrote it")
