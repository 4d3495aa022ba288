"""A run that goes on with edited claims: its folder tells the recipe that it then is, under the names first typed."""

import json

import pytest

from recipelang.loading.locking import beside
from recipelang.loading.read import read_around, read_recipe
from recipelang.planning.identities import local_references
from recipelang.planning.references import local_path
from recipelang.provenance.carried import ORIGIN, PORTABLE, SPEC, carried, carried_anew
from recipelang.spec.effective import effective
from tests.model_folders import make_folder

RECIPE = """recipe 1 "edited"
param share: ratio in 10%..90% = 50%
model { base = "m", task = sequence_classification }
data { train = "train.jsonl" }
stage s {
  length = 2 steps, batch = 2, learning_rate = 1e-3
  prune w { targets = @linear & @encoder, method = magnitude, sparsity = share }
}
expect sparsity(@linear & @encoder) >= 40%
"""


def recipe_of(path):
    checked = read_recipe(str(path), read_around([]), complete=True)
    checked.diagnostics.raise_errors()
    return checked.recipe


@pytest.fixture
def begun(tmp_path):
    """What the first start left, and the text that `resume` reads."""
    make_folder(tmp_path / "m", "bert", "sequence_classification")
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": "x"}\n', "utf-8")
    (tmp_path / "r.recipe").write_text(RECIPE, "utf-8")
    recipe = recipe_of(tmp_path / "r.recipe")
    here = beside(str(tmp_path / "r.recipe"))
    text = tmp_path / "out" / "recipe" / "effective.recipe"
    text.parent.mkdir(parents=True)
    text.write_text(effective(recipe, {r: str(local_path(r, here)) for r in local_references(recipe)}), "utf-8")
    return carried(recipe, here), text


def test_unedited_it_is_what_the_first_start_left(begun):
    first, text = begun
    assert carried_anew(recipe_of(text), text.parent, json.loads(first[ORIGIN])).items() <= first.items()


def test_edited_claims_are_in_it_and_names_are_as_typed(begun, tmp_path):
    first, text = begun
    text.write_text(text.read_text("utf-8").replace("40%", "45%"), "utf-8")
    now = carried_anew(recipe_of(text), text.parent, json.loads(first[ORIGIN]))
    assert "45%" in now[PORTABLE] and now[SPEC] != first[SPEC]
    assert now[ORIGIN] == first[ORIGIN] and str(tmp_path) not in "".join(now.values())
    (tmp_path / "again.recipe").write_text(now[PORTABLE], "utf-8")
    again = recipe_of(tmp_path / "again.recipe")
    assert carried(again, tmp_path)[SPEC] == now[SPEC]


@pytest.mark.parametrize("origin", [{}, {"references": "none"}, {"references": {}}])
def test_of_a_folder_that_does_not_tell_its_names(begun, tmp_path, origin):
    _, text = begun
    now = carried_anew(recipe_of(text), text.parent, origin)
    assert '"./m"' in now[PORTABLE] and '"./train.jsonl"' in now[PORTABLE] and str(tmp_path) not in now[PORTABLE]
