"""Languages of sources and targets in a plan: which go before which, what is warned of, what is refused."""

import json

import pytest

from recipelang.loading.plan import planned
from recipelang.source import RecipeError
from tests.languages import make_model
from tests.model_configs import walk_here
from tests.model_table import make

RECIPE = """recipe 1 "languages"
model { base = "model", task = text_to_text }
data { train = "train.jsonl", validation = "dev.jsonl", max_length = 16 tokens%s }
stage sparse {
  length = 2 epochs, batch = 2, learning_rate = constant(1e-4)
  prune weights { targets = @linear & @encoder, never = @embeddings | @head, method = magnitude, sparsity = 50%% }
}
evaluate dev {}
"""


@pytest.fixture(autouse=True)
def here(monkeypatch):
    walk_here(monkeypatch)


def plan_of(folder, more=""):
    (folder / "a.recipe").write_text(RECIPE % more, "utf-8")
    _, plan, found = planned(str(folder / "a.recipe"))
    return plan, [d.code for d in found]


@pytest.mark.parametrize(
    ("settings", "more", "found", "codes"),
    [
        ({}, "", ("en_XX", "en_XX"), ["W180"]),
        ({}, ', target_language = "en_XX"', ("en_XX", "en_XX"), []),
        ({}, ', source_language = "ro_RO"', ("ro_RO", "ro_RO"), ["W180"]),
        ({"src_lang": "ro_RO", "tgt_lang": "en_XX"}, "", ("ro_RO", "en_XX"), []),
        ({"tgt_lang": "en_XX"}, ', target_language = "ro_RO"', ("en_XX", "ro_RO"), []),
        ({"tgt_lang": "ro_RO", "forced": "ro_RO"}, "", ("en_XX", "ro_RO"), []),
        ({"tgt_lang": "ro_RO", "forced": "en_XX"}, "", ("en_XX", "ro_RO"), ["W181"]),
    ],
)
def test_the_recipe_goes_before_the_folder_and_one_language_is_told_of(tmp_path, settings, more, found, codes):
    make_model(tmp_path / "model", **settings)
    plan, said = plan_of(tmp_path, more)
    meaning = plan.data[0].meaning
    assert (meaning.source_language, meaning.target_language) == found
    assert meaning.frames == {"source": (found[0], "$A", "</s>"), "target": (found[1], "$A", "</s>")}
    assert [code for code in said if code in ("W180", "W181")] == codes


def test_a_tokenizer_without_languages_takes_none(tmp_path):
    make(tmp_path, "t5", "text_to_text")
    for name in ("train.jsonl", "dev.jsonl"):
        (tmp_path / name).write_text(json.dumps({"source": "gold", "target": "iron"}) + "\n", "utf-8")
    assert plan_of(tmp_path)[0].data[0].meaning.frames == {}
    with pytest.raises(RecipeError) as error:
        plan_of(tmp_path, ', target_language = "de"')
    (wrong,) = error.value.diagnostics
    assert wrong.code == "E054" and "`target_language`" in wrong.message
