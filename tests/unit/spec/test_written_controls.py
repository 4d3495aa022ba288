"""`freeze`, `group`, `drop layers`, batches of like length: what may be written, and what it changes in the digests."""

from fractions import Fraction

import pytest

from recipelang.spec.canonical import behaviour_digest, spec_form
from recipelang.spec.document import recipe_text
from recipelang.spec.effective import effective
from tests.reading import checked, codes, recipe_of, sound

STAGE = "  batch         = 16\n"
FREEZE = "freeze embeddings { targets = @embeddings, until = 1 epoch }"
GROUP = (
    "group no_decay { targets = @bias | @norm, weight_decay = 0, learning_rate = linear(1e-3 -> 0, over = start..end) }"
)
DROP = "drop layers { keep = [0..2, 9..11] }"


def in_stage(line: str) -> str:
    return sound((STAGE, f"{STAGE}  {line}\n"))


def helps(text: str) -> list[str]:
    return [h for d in checked(text).diagnostics for h in d.help]


def test_a_range_of_layers_stands_for_those_in_it():
    (drop,) = recipe_of(in_stage(DROP)).stages[0].drops
    assert drop.keep == (0, 1, 2, 9, 10, 11)
    (drop,) = recipe_of(in_stage("drop layers { keep = 0..3 }")).stages[0].drops
    assert drop.keep == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("keep", "code"),
    [
        ("6", "E024"),  # how many, or which one? it could be either
        ("[]", "E024"),
        ("[3, 1]", "E024"),
        ("[1, 1]", "E024"),
        ("[0..3, 2..4]", "E024"),
        ("[3..1]", "E028"),
        ("[-1]", "E038"),
        ("[1.5]", "E024"),
        ("[2 epochs]", "E024"),
        ("[0..99_999]", "E038"),
        ("every", "E022"),
    ],
)
def test_layers_to_keep_are_written_in_their_order(keep, code):
    assert codes(in_stage(f"drop layers {{ keep = {keep} }}")) == [code]


def test_a_number_of_layers_is_answered_with_a_list():
    assert "`[1, 3, 5, 7, 9, 11]` keeps six of twelve" in helps(in_stage("drop layers { keep = 6 }"))[0]


def test_only_layers_are_dropped():
    assert codes(in_stage("drop heads { keep = [1] }")) == ["E054"]
    both = "drop encoder_layers { keep = [0] }\n  drop decoder_layers { keep = [0, 2] }"
    assert [d.name for d in recipe_of(in_stage(both)).stages[0].drops] == ["encoder_layers", "decoder_layers"]


def test_a_group_sets_something():
    assert codes(in_stage("group x { targets = @norm }")) == ["E054"]
    (group,) = recipe_of(in_stage(GROUP)).stages[0].groups
    assert (group.weight_decay, group.learning_rate is None) == (Fraction(0), False)


@pytest.mark.parametrize(
    ("written", "meant"), [("param_group", "group"), ("frozen", "freeze"), ("drop_layers", "drop"), ("freze", "freeze")]
)
def test_words_of_other_tools(written, meant):
    assert f"did you mean `{meant}`?" in helps(in_stage(f"{written} x {{ targets = @norm }}"))


def test_order_and_like_length_exclude_each_other():
    both = ('source = "hf://owner/data"', 'source = "hf://owner/data", shuffle = false, group_by_length = true')
    assert codes(sound(both)) == ["E054"]


# ----------------------------------------------------------------- identity
def test_recipes_without_controls_keep_their_digests():
    form = spec_form(recipe_of(sound()), {})
    assert not {"freeze", "group", "drop"} & set(form["stages"][0])
    assert "group_by_length" not in form["data"][""]


LENGTH = ('source = "hf://owner/data"', 'source = "hf://owner/data", group_by_length = true')
WITH = {"freeze": in_stage(FREEZE), "group": in_stage(GROUP), "drop": in_stage(DROP), "length": sound(LENGTH)}


@pytest.mark.parametrize("text", WITH.values(), ids=WITH)
def test_every_control_is_part_of_the_behaviour(text):
    assert behaviour_digest(recipe_of(text), {}) != behaviour_digest(recipe_of(sound()), {})


def test_how_fast_a_step_is_made_is_not():
    assert behaviour_digest(recipe_of(in_stage("compile = true")), {}) == behaviour_digest(recipe_of(sound()), {})


def test_spelling_leaves_no_trace():
    spelt = in_stage("drop layers { keep = [0, 1, 2, 9..10, 11] }")
    assert behaviour_digest(recipe_of(spelt), {}) == behaviour_digest(recipe_of(in_stage(DROP)), {})
    unset = in_stage(FREEZE.replace(", until = 1 epoch", ""))
    assert behaviour_digest(recipe_of(unset), {}) != behaviour_digest(recipe_of(in_stage(FREEZE)), {})


@pytest.mark.parametrize("text", WITH.values(), ids=WITH)
def test_written_out_it_is_the_same_recipe(text):
    recipe = recipe_of(text)
    form = spec_form(recipe, {})
    assert spec_form(recipe_of(effective(recipe)), {}) == form
    assert spec_form(recipe_of(recipe_text(recipe)), {}) == form


def test_a_child_patches_a_group_and_takes_one_out():
    text = in_stage(GROUP)
    assert checked(text.replace("group no_decay", "patch group no_decay")).recipe is None  # there is none to patch
