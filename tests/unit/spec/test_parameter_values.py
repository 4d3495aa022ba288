"""Parameters: declared types, ranges, and values given from outside."""

from pathlib import Path

import pytest

from recipelang.kinds.text import show
from recipelang.source import Diagnostics, Source
from recipelang.spec.check import check
from recipelang.spec.params import Given, read_file
from recipelang.syntax import parse
from tests.reading import checked, codes, recipe_of, sound


def given(declaration: str, value: str) -> str:
    """The value of a parameter given as `value` from outside, as a recipe writes it."""
    recipe = recipe_of(sound(add=f"param p: {declaration}\n"), p=value)
    return show(recipe.evaluator._values["p"])


@pytest.mark.parametrize(
    ("declaration", "typed", "shown"),
    [
        ("bool = true", "false", "false"),
        ("int = 1", "7", "7"),
        ("number = 1", "-8e-5", "-8e-5"),
        ("ratio = 90%", "97%", "97%"),
        ("ratio = 90%", "0.97", "0.97"),
        ("span = 1 epoch", "100 steps", "100 steps"),
        ("span = 1 epoch", "2 epochs + 10 steps", "2 epochs + 10 steps"),
        ("epochs = 1 epoch", "3 epochs", "3 epochs"),
        ("steps = 1 step", "3 steps", "3 steps"),
        ("samples = 1", "12 samples", "12 samples"),
        ("tokens = 1", "128", "128"),
        ("bytes = 1 B", "5 GiB", "5368709120 B"),
        ("rate = 1 per epoch", "4 per epoch", "4 per epoch"),
        ("pattern = 2:4", "unstructured", "unstructured"),
        ("pattern = unstructured", "4:8", "4:8"),
        ("pattern = 2:4", "block(4, 1)", "block(4, 1)"),
        ("selector = @query", "@linear & layers(0..5)", "@linear & layers(0..5)"),
        ("selector = @query", '"encoder.**"', '"encoder.**"'),
        ("one_of(fp32, bf16) = fp32", "bf16", "bf16"),
        ("one_of(2:4, 4:8) = 2:4", "4:8", "4:8"),
        ("model = 'x'", "hf://owner/name", '"hf://owner/name"'),
        ("dataset = 'x'", "hf://owner/name", '"hf://owner/name"'),
        ("string = 'x'", 'any ${text}, "as" typed', '"any \\${text}, \\"as\\" typed"'),
    ],
)
def test_a_value_from_outside_is_read_by_its_declared_type(declaration, typed, shown):
    assert given(declaration.replace("'", '"'), typed) == shown


def test_a_path_typed_on_the_command_line_starts_where_it_was_typed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert given('model = "x"', "./m") == f'"{tmp_path / "m"}"'
    assert given('dataset = "x"', "d.json") == f'"{tmp_path / "d.json"}"'
    assert given('model = "x"', "~/m") == f'"{Path.home() / "m"}"'
    assert given('string = "x"', "./m") == '"./m"'


def test_a_split_given_from_outside_stays_a_name_and_a_source_becomes_a_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = sound(
        ("let warm", 'param part: dataset = "train"\nparam all: dataset = "hf://a/b"\nlet warm'),
        ('{ source = "hf://owner/data" }', "{ source = all, train = part, validation = all }"),
    )
    data = recipe_of(text, part="train_sm", all="squad").data[""]
    assert (data.source, data.train, data.validation) == (str(tmp_path / "squad"), "train_sm", "squad")
    file = parse(Source("there/p.recipe", 'recipe 1 "p"\nset part = "train_sm"\nset all = "squad"'), Diagnostics())
    data = check(Source("a.recipe", text), read_file(file, Diagnostics())).recipe.data[""]
    assert (data.source, data.train) == (str(tmp_path / "there" / "squad"), "train_sm")


@pytest.mark.parametrize(
    ("declaration", "typed", "code"),
    [
        ("ratio in 50%..99% = 90%", "40%", "E038"),
        ("ratio in 50%..99% = 90%", "99.5%", "E038"),
        ("ratio = 90%", "97", "E038"),
        ("ratio = 90%", "x y", "E001"),
        ("ratio = 90%", "", "E001"),
        ("ratio = 90%", "1 2", "E001"),
        ("int = 1", "7\nlet z = 3", "E001"),
        ("ratio = 90%", "target", "E022"),
        ("ratio = 90%", "warm", "E022"),
        ("int in 1..8 = 1", "9", "E038"),
        ("int in [1, 2, 4] = 1", "3", "E038"),
        ("int = 1", "1.5", "E024"),
        ("int = 1", "1 epoch", "E024"),
        ("span = 1 epoch", "3", "E024"),
        ("epochs = 1 epoch", "3 steps", "E024"),
        ("steps = 1 step", "3 epochs", "E024"),
        ("span in 1..4 epochs = 2 epochs", "100 steps", "E023"),
        ("bool = true", "1", "E024"),
        ("rate = 1 per epoch", "10", "E024"),
        ("bytes = 1 B", "5", "E024"),
        ("tokens = 1", "1.5 tokens", "E024"),
        ("tokens = 1", "10 samples", "E024"),
        ("one_of(fp32, bf16) = fp32", "bf17", "E022"),
        ("one_of(2:4, 4:8) = 2:4", "1:4", "E024"),
        ("model = 'x'", "", "E024"),
        ("string in ['a', 'b'] = 'a'", "c", "E038"),
        ("pattern in [unstructured, block(1, 4)] = unstructured", "block(4, 1)", "E038"),
        ("pattern in [unstructured, block(1, 4)] = unstructured", "2:4", "E038"),
    ],
)
def test_a_value_from_outside_that_does_not_fit(declaration, typed, code):
    text = sound(add=f"param p: {declaration}\n".replace("'", '"'))
    (found,) = checked(text, p=typed).diagnostics
    assert (found.code, found.primary.source.name) == (code, "-p p")


def test_a_name_from_outside_is_told_how_a_value_of_the_type_is_written():
    """No `let` could define it: a command line has none."""
    (found,) = checked(sound(add="param p: ratio = 90%\n"), p="nonsense").diagnostics
    assert found.help == ("`ratio` is a share from `0%` to `100%`; `90%` equals `0.9`",)


@pytest.mark.parametrize(
    ("declaration", "code"),
    [
        ("ratio = 90", "E038"),
        ("int = 1.5", "E024"),
        ("int in 1..8 = 9", "E038"),
        ("int in [1, 2, 4] = 3", "E038"),
        ("ratio in 50..99% = 90%", "E038"),
        ("ratio in 50%..99 = 90%", "E038"),
        ("ratio in 50%..99", "E038"),
        ("int in 3 = 3", "E024"),
        ("int in [1, 2 epochs] = 1", "E024"),
        ("pattern = other", "E022"),
        ("model = bert", "E022"),
        ("foo = 1", "E022"),
        ("list = 5", "E022"),
        ("one_of(a, b) = c", "E022"),
        ("one_of(a, 1 / 0) = a", "E030"),
        ("int = p", "E021"),
    ],
)
def test_a_declaration_that_does_not_hold_together(declaration, code):
    assert codes(sound(add=f"param p: {declaration}\n")) == [code]


def test_the_ends_of_a_range_are_of_the_parameters_type_and_offer_the_fix():
    text = sound(add="param p: ratio in 50..99% = 90%\n")
    (found,) = checked(text).diagnostics
    edit = found.fixes[0].edits[0]
    assert (text[edit.span.start : edit.span.end], edit.text) == ("50", "50%")


def test_an_unknown_type_is_named_with_the_nearest():
    (found,) = checked(sound(add="param p: ratoi = 90%\n")).diagnostics
    assert (found.code, found.fixes[0].edits[0].text) == ("E022", "ratio")


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("tarjet", "did you mean `target`?"),
        ("warm", "`warm` is a `let`: only a `param` can be set from outside"),
        ("other", "it has `target`, `length`"),
    ],
)
def test_a_parameter_that_does_not_exist(name, help):
    (found,) = checked(sound(), **{name: "1"}).diagnostics
    assert (found.code, found.help) == ("E036", (help,))


ABSTRACT = sound(("= 90%", ""))


def test_a_parameter_without_a_value_is_a_base_and_passes():
    result = checked(ABSTRACT)
    assert (list(result.diagnostics), result.recipe, result.missing) == ([], None, ("target",))


def test_a_run_asks_for_the_value_that_is_missing():
    (found,) = check(Source("a.recipe", ABSTRACT), complete=True).diagnostics
    assert (found.code, found.message) == ("E053", "parameter `target` needs a value")
    assert found.help == ("pass it with `-p target=...`",)


def test_a_value_makes_a_base_whole():
    assert check(Source("a.recipe", ABSTRACT), {"target": Given("95%", "-p target")}, complete=True).recipe is not None


def test_other_mistakes_of_a_base_are_still_found():
    assert codes(sound(("= 90%", ""), ("batch         = 16", "batch = 0"))) == ["E038"]


def test_a_parameter_reaches_everything_that_hangs_on_it():
    recipe = recipe_of(sound(), target="95%", length="10 epochs")
    segment = recipe.stages[0].prunes[0].sparsity.segments[0]
    assert (segment.end, segment.window[1].epochs) == (recipe.evaluator._values["target"].value, 8)


@pytest.mark.parametrize("name", ["start", "end", "stage"])
def test_names_of_the_language_cannot_be_defined(name):
    assert codes(sound(add=f"let {name} = 1\n")) == ["E039"]


def test_a_name_is_defined_once():
    text = sound(add="let warm = 3 epochs\n")
    (found,) = checked(text).diagnostics
    assert found.code == "E012"
    assert found.secondary[0].span.start == text.index("warm")


@pytest.mark.parametrize("typed", ["unstructured", "block(1, 4)"])
def test_a_list_of_patterns_holds_what_it_names(typed):
    found = checked(sound(add="param p: pattern in [unstructured, block(1, 4)] = block(1, 4)\n"), p=typed)
    assert list(found.diagnostics) == []
