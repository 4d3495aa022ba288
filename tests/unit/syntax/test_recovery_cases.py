"""Several independent mistakes in one file: each is found, at its own line, and nothing else is said."""

import re

import pytest

from tests.reading import CASES, TEXTS, at_lines, checked, codes, parsed, sound

FILES = sorted((CASES / "recovery").glob("*.recipe"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_ten_mistakes_give_ten_findings_at_their_lines(path):
    text = path.read_text("utf-8")
    marks = [(n, m[1]) for n, line in enumerate(text.split("\n"), 1) if (m := re.search(r"# -> ([EW]\d{3})", line))]
    assert len(marks) == 10
    assert at_lines(checked(text).diagnostics) == marks


@pytest.mark.parametrize("name", TEXTS)
def test_samples_and_library_recipes_are_read_whole(name):
    result, found = parsed(TEXTS[name])
    assert list(found) == []
    assert result.tokens is not None
    assert "".join(result.tokens.all) == TEXTS[name]
    assert result.recipe is not None
    assert result.recipe.name is not None


@pytest.mark.parametrize(
    "text",
    [
        *("recipe", "recipe\n", 'recipe "x"\n', "recipe }", 'recipe -1 "x"', "", "\n\n", "# only"),
        *("recipe 1 tiny\n", "recipe 1)\nseed = 1\n", 'recipe 1 "x" }\nlet a = 1\n', "let a = 1\n"),
    ],
)
def test_a_header_that_is_not_one_is_a_single_finding(text):
    assert [d.code for d in parsed(text)[1]] == ["E010"]


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("recipe\n", "recipe 1\n"),
        ('recipe "x"\n', 'recipe 1 "x"\n'),
        ("recipe 1 tiny\n", 'recipe 1 "tiny"\n'),
        ("recipe 1)\n", None),
        ('recipe -1 "x"\n', None),
    ],
)
def test_a_header_is_mended_where_it_is_clear_what_was_meant(text, mended):
    (found,) = parsed(text)[1]
    edits = [edit for fix in found.fixes for edit in fix.edits]
    assert [text[: e.span.start] + e.text + text[e.span.end :] for e in edits] == ([mended] if mended else [])


def test_a_strange_character_in_the_header_is_not_said_twice():
    assert [d.code for d in parsed("recipe 1 ; b\nlet x = 1\n")[1]] == ["E002"]


def test_a_missing_version_costs_nothing_but_its_own_finding():
    result, found = parsed('recipe "x"\nlet a = 1\n')
    assert [d.code for d in found] == ["E010"]
    assert result.recipe is not None
    assert result.recipe.name == "x"
    assert [s.name for s in result.recipe.statements] == ["a"]


def test_more_after_the_header_breaks_only_that_line():
    result, found = parsed('recipe 1 "a" "b"\nlet x = 1\n')
    assert [(d.code, d.primary.span.start) for d in found] == [("E010", len('recipe 1 "a" '))]
    assert (result.recipe.name, [s.name for s in result.recipe.statements]) == ("a", ["x"])


def test_a_statement_on_the_line_of_the_header_is_kept():
    result, found = parsed('recipe 1 "a" let x = 1\n')
    assert [d.message for d in found] == ["expected the end of the line, found `let`"]
    assert (result.recipe.name, [s.name for s in result.recipe.statements]) == ("a", ["x"])


def test_text_after_a_block_does_not_lose_the_block():
    result, found = parsed("recipe 1\na { b = 1 } junk\nc = 2\n")
    assert at_lines(found) == [(2, "E001")]
    assert [type(s).__name__ for s in result.recipe.statements] == ["Block", "Broken", "Attribute"]


def test_an_unclosed_bracket_is_one_local_mistake():
    result, found = parsed("recipe 1\na = [1,\n  2\nlet b = 3\nc { d = (1 + 2\n  e = 4 }\nf = 5\n")
    assert at_lines(found) == [(3, "E001"), (5, "E001")]
    names = [s.name for s in result.recipe.statements if hasattr(s, "name")]
    assert names == ["b", "f"]


def test_blocks_left_open_are_closed_at_the_end_and_their_openers_shown():
    result, found = parsed("recipe 1\na {\n  b {\n    c = 1\n")
    assert at_lines(found) == [(2, "E005"), (3, "E005")]
    assert result.recipe.statements[0].body[0].body[0].name == "c"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("stage a {\n  length } = dense\n}\n", [(3, "E001"), (3, "E001"), (4, "E006")]),
        ("model {\n  base = \n", [(2, "E005"), (3, "E001")]),
    ],
)
def test_a_brace_too_many_or_too_few_is_found_where_it_is(text, found):
    assert at_lines(parsed("recipe 1\n" + text)[1]) == found


def test_a_stray_brace_is_passed_over():
    result, found = parsed("recipe 1\na = 1\n}\nb = 2\n")
    assert at_lines(found) == [(3, "E006")]
    assert [s.name for s in result.recipe.statements] == ["a", "b"]


def test_a_missing_line_end_keeps_both_statements():
    result, found = parsed("recipe 1\na = 1 epoch b = 2\n")
    assert at_lines(found) == [(2, "E001")]
    assert [s.name for s in result.recipe.statements] == ["a", "b"]


@pytest.mark.parametrize("text", ["80 <= f1 <= 90", "1..2..3", "a -> b -> c", "1 ± 2 ± 3", "a except b except c"])
def test_two_sided_operators_do_not_chain(text):
    found = parsed(f"recipe 1\nexpect {text}\n")[1]
    assert [d.code for d in found] == ["E001"]
    assert "do not chain" in found.sorted()[0].help[0]


def test_a_misspelt_keyword_is_named_with_its_fix():
    (found,) = parsed("recipe 1\nparm target: ratio = 90%\n")[1]
    assert found.message == "expected a statement, found `parm`"
    assert found.fixes[0].edits[0].text == "param"


def test_a_newer_language_is_named_even_when_the_rest_does_not_parse():
    assert codes('recipe 1.3 "x"\n{{{ = =\n') == ["E011"]
    assert codes('recipe 2 "x"\n') == ["E011"]


def test_the_version_is_text():
    assert parsed("recipe 1.0\n")[0].recipe.version == "1.0"
    assert codes("recipe 1.10\n") == ["E011"]


def test_an_attribute_near_a_keyword_is_not_taken_for_it():
    (found,) = parsed("recipe 1\nbatch = 16 seed = 3\n")[1]
    assert found.message == "expected the end of the line, found `seed`"
    assert [edit.text for fix in found.fixes for edit in fix.edits] == ["\n"]


@pytest.mark.parametrize(
    "line", ["let warm = = 2 epochs", "let warm 2 epochs", "lett warm = 2 epochs", "var warm = 2 epochs"]
)
def test_a_definition_that_cannot_be_read_is_one_finding_whatever_uses_it(line):
    assert codes(sound(("let warm = 2 epochs", line))) == ["E001"]


def test_a_parameter_that_cannot_be_read_is_one_finding_whatever_uses_it():
    assert codes(sound(("param target: ratio in 50%..99% = 90%", "param target ratio = 90%"))) == ["E001"]
