"""The page of a rule is its test: the first recipe is found, the second is not."""

import re

import pytest

from recipelang.lint import RULES
from recipelang.lint.every_rule import CODES
from recipelang.source.codes import codes as pages, page, rule_names
from tests.advice import codes

#: what else is wrong with a page's first recipe
ALSO = {"L001": {"L003"}, "L023": {"L000"}, "L050": {"L000"}}
NEEDS = {"tree": "the text alone", "recipe": "the recipe alone", "plan": "the model and the data"}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.NAME)
def test_page_shows_what_the_rule_finds_and_what_it_does_not(rule, project, tmp_path):
    recipes = re.findall(r"^```recipe\n(.*?)^```", page(rule.CODE), re.S | re.M)
    assert len(recipes) == 2, "its page needs two recipes: one that the rule finds, and one that it does not"
    failing, right = recipes
    project()
    if rule.NAME == "no-dense-start":
        _without_a_head(tmp_path)
    found, left = (set(codes(tmp_path / "a.recipe", text)) for text in (failing, right))
    assert found - left - ALSO.get(rule.CODE, set()) == {rule.CODE}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.NAME)
def test_page_names_the_rule_its_level_and_what_it_needs(rule):
    said = re.search(r"^Rule `(.+?)`, level `(.+?)`; judged (?:with|from) (.+?)\.$", page(rule.CODE), re.M)
    word = "from" if "alone" in NEEDS[rule.NEEDS] else "with"
    wanted = f"Rule `{rule.NAME}`, level `{rule.LEVEL}`; judged {word} {NEEDS[rule.NEEDS]}."
    assert said and said.groups() == (rule.NAME, rule.LEVEL, NEEDS[rule.NEEDS]), f"its page needs the line: {wanted}"


def test_every_page_of_a_rule_has_its_rule():
    assert rule_names() == CODES
    assert sorted(CODES.values()) == [code for code in pages() if code.startswith("L")]


def _without_a_head(folder):
    from safetensors.torch import load_file, save_file

    weights = folder / "model" / "model.safetensors"
    save_file({n: t for n, t in load_file(weights).items() if "qa_outputs" not in n}, weights, {"format": "pt"})
