"""What was typed comes to the recipe of the run, however many files it has; and no other text does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipelang.loading.read import read_around, read_recipe
from recipelang.provenance.carried import ORIGIN, SOURCES, SPEC, carried
from recipelang.provenance.recheck import digest_of_text
from recipelang.provenance.typed import NotKept, check_typed
from recipelang.source import RecipeError
from tests.model_folders import make_folder

BASE = """recipe 1 "base"
param share: ratio in 10%..90% = 50%
param count: int = 2
param from_model: model = "m"
param kind: one_of(magnitude, movement) = magnitude
model { base = from_model, task = sequence_classification }
data { train = "train.jsonl" }
let rate = 1e-3
stage s {
  length = count * 1 step, batch = 2, learning_rate = rate
  prune w { targets = @linear & @encoder, method = magnitude, sparsity = share }
}
expect sparsity(@linear & @encoder) >= 10%
"""
CHILD = 'recipe 1 "child"\nextends "../base file.recipe"\nset share = 60%\nuse "lib/more.recipe" as more\npatch stage s { batch = 4 }\n'
MORE = 'recipe 1 "more"\nlet unused = 1\n'
OVERLAY = "recipe 1\npatch stage s { learning_rate = 2e-3 }\n"
LATER = "recipe 1\npatch stage s { learning_rate = 3e-3 }\n"
#: files, the one that is run, `-p`, overlays
CASES: dict[str, tuple[dict[str, str], str, list[str], list[str]]] = {
    "one file": ({"a.recipe": BASE}, "a.recipe", [], []),
    "parameters": ({"a.recipe": BASE}, "a.recipe", ["share=70%", "count=3", "from_model=other", "kind=movement"], []),
    "a child": ({"base file.recipe": BASE, "sub/child.recipe": CHILD, "sub/lib/more.recipe": MORE}, "sub/child.recipe", ["count=4"], []),
    "overlays": ({"a.recipe": BASE, "z.recipe": OVERLAY, "b.recipe": LATER}, "a.recipe", ["share=70%"], ["z.recipe", "b.recipe"]),
}  # fmt: skip


#: what other files set again
OVERRIDDEN = (("base-file.recipe", "batch = 2"), ("z.recipe", "e-3 }"))


@pytest.fixture
def kept(tmp_path, monkeypatch, request):
    """The texts, the origin, and the spec digest that a run of a case leaves."""
    files, root, params, overlays = CASES[request.param]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    for place in (tmp_path, (tmp_path / root).parent):
        for name in ("m", "other"):
            if not (place / name).exists():
                make_folder(place / name, "bert", "sequence_classification")
        (place / "train.jsonl").write_text('{"text": "a", "label": "x"}\n', "utf-8")
    (tmp_path / "recipelang.toml").write_text("", "utf-8")
    monkeypatch.chdir(tmp_path)
    checked = read_recipe(root, read_around(params, [], overlays), complete=True)
    checked.diagnostics.raise_errors()
    found = carried(checked.recipe, Path(root).absolute().parent)
    texts = {n.removeprefix(f"{SOURCES}/"): t for n, t in found.items() if n.startswith(SOURCES)}
    return texts, checked.recipe.name, json.loads(found[ORIGIN]), digest_of_text(found[SPEC])


@pytest.mark.parametrize("kept", CASES, indirect=True)
def test_what_was_typed_comes_to_the_recipe_and_nothing_else_does(kept):
    texts, name, origin, spec = kept
    check_typed(texts, name, origin, origin["contents"], spec)
    for path, text in texts.items():
        for old, new in (
            ("batch = 2", "batch = 8"),
            ("batch = 4", "batch = 8"),
            ("e-3 }", "e-4 }"),
            ("recipe 1", "recept 1"),
        ):
            if old in text and (path, old) not in OVERRIDDEN and "unused" not in text:
                with pytest.raises(RecipeError) as error:
                    changed = {**texts, path: text.replace(old, new)}
                    check_typed(changed, name, origin, origin["contents"], spec)
                assert error.value.diagnostics[0].code == "E138"
    other = {**origin, "parameters": {**origin["parameters"], "share": "11%"}}
    with pytest.raises(RecipeError):
        check_typed(texts, name, other, origin["contents"], spec)


def test_what_is_published_elsewhere_is_not_kept():
    with pytest.raises(NotKept):
        check_typed({"oci/x.recipe": BASE}, "base", {}, {}, "")
