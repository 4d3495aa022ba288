"""Comments that allow a finding, and levels from `recipelang.toml` and the command line."""

import pytest

from recipelang.lint import choose, levels_for
from recipelang.source import RecipeError
from tests.advice import codes, findings

RECIPE = """recipe 1 "example"
meta { license = "MIT", authors = ["A. Person"] }
model { base = "hf://a/b@0123abc", task = question_answering }
data { source = "hf://a/c@0123abc" }
{above the stage}
stage sparse {
  length = 4 epochs
  batch = 8
  learning_rate = linear(1e-3 -> 1e-4, over = start..end)
  {above the block}
  prune weights {
    targets = @linear & @encoder
    {above the method}
    method = magnitude
    {above the attribute}
    sparsity = cubic(50% -> 90%, over = 1..3 epochs, every = 2 steps){beside it}
    never = @head
  }
}
expect sparsity(@linear & @encoder) == 90% ± 0.1%
"""
PLACES = ("above the stage", "above the block", "above the method", "above the attribute", "beside it")


def recipe(**comments):
    text = RECIPE
    for place in PLACES:
        text = text.replace(f"{{{place}}}", comments.get(place.replace(" ", "_"), ""))
    return text


def told(path, text):
    """What these tests are about: the one rule, and what is said of comments. Other rules may find something too."""
    return [c for c in codes(path, text) if c == "L020" or c.startswith("W")]


def found(path, **comments):
    return told(path, recipe(**comments))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.recipe"


def test_without_a_comment_it_is_found(path):
    assert found(path) == ["L020"]


@pytest.mark.parametrize("place", ["above_the_stage", "above_the_block", "above_the_attribute", "beside_it"])
@pytest.mark.parametrize("rule", ["L020", "l020", "no-distillation", "L001, no-distillation"])
def test_a_comment_above_the_statement_or_a_block_around_it_allows(path, place, rule):
    assert found(path, **{place: f"  # recipe: allow({rule}) the ablation"}) == []


def test_a_comment_elsewhere_allows_nothing_and_is_told(path):
    assert found(path, above_the_method="# recipe: allow(L020) the ablation") == ["L020", "W111"]


def test_other_comments_may_stand_between(path):
    assert found(path, above_the_attribute="# recipe: allow(L020) the ablation\n    # steep\n") == []


def test_a_reason_is_required(path):
    assert found(path, above_the_attribute="# recipe: allow(L020)") == ["L020", "W110"]


@pytest.mark.parametrize(
    "comment",
    ["# recipe: allow() why", "# recipe: allow(L999) why", "# recipe: alow(L020) why", "# recipe: allow(E051) why"],
)
def test_unknown_words_are_told(path, comment):
    assert found(path, above_the_attribute=comment) == ["L020", "W112"]


@pytest.mark.parametrize(
    "comment", ["# recipe: of the paper", "# see the recipe: allow(L020) why", "# allow(L020) why"]
)
def test_prose_is_prose(path, comment):
    assert found(path, above_the_attribute=comment) == ["L020"]


def test_a_comment_for_a_rule_that_could_not_be_judged_is_not_told(path):
    assert found(path, above_the_attribute="# recipe: allow(L020, L012) the ablation") == []


def test_a_statement_over_several_lines_is_one_statement(path):
    text = recipe(above_the_attribute="# recipe: allow(L020) why").replace("cubic(50%", "cubic(\n      50%")
    assert told(path, text) == []


# ------------------------------------------------------------------------ levels
def write(folder, text):
    (folder / "recipelang.toml").write_text(text, "utf-8")


def test_the_nearest_file_upwards_counts(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    write(tmp_path, '[lint]\nL020 = "deny"\n')
    assert levels_for(inner, {})["L020"] == "deny"
    write(tmp_path / "a", '[lint]\nno-never = "info"\n')
    assert (levels_for(inner, {})["L020"], levels_for(inner, {})["L003"]) == ("warn", "info")


def test_options_come_before_the_file(tmp_path):
    write(tmp_path, '[lint]\nL020 = "deny"\n')
    chosen = choose({"allow": ["no-distillation"], "warn": [], "deny": ["L003"]})
    assert [levels_for(tmp_path, chosen)[c] for c in ("L020", "L003", "L012")] == ["allow", "deny", "warn"]


@pytest.mark.parametrize(("level", "severity"), [("deny", "error"), ("warn", "warning"), ("info", "info")])
def test_a_level_gives_the_severity(path, level, severity):
    write(path.parent, f'[lint]\nL020 = "{level}"\n')
    assert [d.severity for d in findings(path, recipe()) if d.code == "L020"] == [severity]


def test_what_is_allowed_is_not_said_to_be_unchecked(path):
    write(path.parent, '[lint]\nL020 = "allow"\nL001 = "allow"\n')
    (last,) = (d for d in findings(path, recipe()) if d.code == "L000")
    assert "L001" not in last.notes[-1] and "L002" in last.notes[-1]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("[lint\n", "`recipelang.toml` is not TOML", 5),
        ('[lint]\nL20 = "deny"\n', "there is no rule `L20`", 7),
        ('[lint]\n"L020" = 3\n', "there is no level `3`", 16),
        ('[lint]\nL020 = "of"\n', "there is no level `of`", 14),
        ("lint = 3\n", "`lint` must be a table", 0),
        ("[lnt]\n", "`recipelang.toml` has no table `lnt`", 1),
    ],
)
def test_a_wrong_file_is_told_at_its_place(tmp_path, text, message, place):
    write(tmp_path, text)
    with pytest.raises(RecipeError) as raised:
        levels_for(tmp_path, {})
    (diagnostic,) = raised.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == ("E095", message)
    assert diagnostic.primary.span.start == place


def test_hostile_files_are_refused(tmp_path):
    for data in (b"\xff\xfe", b"a" * 70_000, b"[" * 60_000):
        (tmp_path / "recipelang.toml").write_bytes(data)
        with pytest.raises(RecipeError):
            levels_for(tmp_path, {})
