"""What a recipe says of its data's meaning: absent from digests where unset, and the same recipe written out."""

import json

import pytest

from recipelang.source import Source
from recipelang.spec.canonical import behaviour_digest, spec_digest, spec_form
from recipelang.spec.document import read_document, recipe_text
from recipelang.spec.effective import effective
from tests.reading import recipe_of, sound

SOURCE = 'source = "hf://owner/data"'
EVALUATE = "evaluate dev { metrics = [f1, exact_match]"
WITH = {
    "classes": sound((SOURCE, f'{SOURCE}, classes = ["a", "B c"]')),
    "unlabelled": sound((SOURCE, f'{SOURCE}, unlabelled = ["-", "-1"]')),
    "positive": sound((SOURCE, f'{SOURCE}, positive = "a"')),
    "answer_is": sound((SOURCE, f"{SOURCE}, answer_is = place")),
    "null_threshold": sound((EVALUATE, f"{EVALUATE}, null_threshold = -1.5")),
    "metrics": sound((EVALUATE, "evaluate dev { metrics = [f1, has_answer_f1, has_answer_exact_match, no_answer]")),
}
MEASURED = ("positive", "null_threshold", "metrics")


def test_what_is_unset_is_in_no_digest():
    form = json.dumps(spec_form(recipe_of(sound()), {}))
    assert not any(f'"{name}"' in form for name in WITH if name != "metrics")


@pytest.mark.parametrize("name", WITH)
def test_what_decides_weights_is_in_the_behaviour_and_what_is_counted_is_not(name):
    plain, own = recipe_of(sound()), recipe_of(WITH[name])
    assert spec_digest(own, {}) != spec_digest(plain, {})
    assert (behaviour_digest(own, {}) == behaviour_digest(plain, {})) == (name in MEASURED)


@pytest.mark.parametrize("name", WITH)
def test_written_out_it_is_the_same_recipe(name):
    recipe = recipe_of(WITH[name])
    form = spec_form(recipe, {})
    assert spec_form(recipe_of(effective(recipe)), {}) == form
    assert spec_form(recipe_of(recipe_text(recipe)), {}) == form
    again, _ = read_document(Source("d.json", json.dumps(form)), recipe.name)
    assert spec_form(again, {}) == form


def test_the_order_of_labels_that_are_none_means_nothing():
    other = sound((SOURCE, f'{SOURCE}, unlabelled = ["-1", "-"]'))
    assert spec_digest(recipe_of(other), {}) == spec_digest(recipe_of(WITH["unlabelled"]), {})
