"""What is offered where, by labels: some that must be among the offers, some that must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipelang.editor.completion import complete, without_places
from recipelang.editor.document import Document
from recipelang.source import Source
from recipelang.spec.check import check
from tests.unit.editor.marked import HEADER, marked

STAGES = """model { base = "m", task = question_answering }
param target: ratio = 90%
let warm = 2 epochs
stage dense { length = 2 epochs }
evaluate dev { metrics = [f1] }
"""


@pytest.mark.parametrize(
    ("text", "offered", "not_offered"),
    [
        ("‸", {"stage", "model", "param", "expect", "seed"}, {"prune", "length"}),
        ("stage s {\n  ‸\n}", {"length", "batch", "prune", "distill"}, {"stage", "model", "seeds"}),
        ("stage s {\n  batch = 4\n  ‸\n}", {"length", "learning_rate"}, {"batch"}),
        ("stage s {\n  prune w {\n    ‸", {"targets", "sparsity", "method", "never"}, {"batch"}),
        ("stage s {\n  prune w {\n    method = ‸", {"magnitude", "movement"}, {"@linear", "linear"}),
        ("stage s {\n  prune w {\n    targets = @‸", {"@linear", "@embeddings"}, {"magnitude"}),
        ("stage s {\n  prune w {\n    method = magnitude(‸", {"scope"}, {"global"}),
        ("stage s {\n  prune w {\n    method = magnitude(scope = ‸", {"uniform", "global"}, {"scope"}),
        ("stage s {\n  learning_rate = ‸", {"linear", "cosine", "target", "warm"}, {"magnitude"}),
        ("stage s {\n  learning_rate = linear(1 -> 0, ‸", {"over", "rewind"}, {"power"}),
        ("stage s {\n  learning_rate = polynomial(1 -> 0, ‸", {"over", "power"}, set()),
        ("let x = ‸", {"linear", "target"}, {"f1", "ratio"}),
        ("stage s {\n  learning_rate = linear(1 -> 0, over = ‸", {"start..end"}, {"over"}),
        ("stage s {\n  length = 3 ‸", {"epochs", "steps"}, {"tokens"}),
        ("stage s {\n  precision = ‸", {"fp32", "bf16"}, {"epochs"}),
        ("stage s {\n  compile = ‸", {"true", "false"}, {"fp32"}),
        ("stage s {\n  distill {\n    teacher = ‸", {"stage"}, set()),
        ("stage s {\n  distill {\n    teacher = stage.‸", {"stage.dense"}, {"stage.dev"}),
        ("param x: ‸", {"ratio", "span", "model"}, {"epochs ", "stage"}),
        ("expect ‸", {"sparsity", "params", "speedup", "dev", "stage"}, {"batch"}),
        ("expect dev.‸", {"dev.f1", "dev.accuracy"}, {"dev.target"}),
        ("expect dev.f1 >= stage.dense.‸", {"stage.dense.dev", "stage.dense.params"}, set()),
        ("expect base.‸", {"base.params", "base.size", "base.flops"}, {"base.f1"}),
        ("expect sparsity(@‸", {"@linear"}, {"target"}),
        ("require ‸", {"target", "warm"}, {"sparsity"}),
        ("let x = tar‸", {"target"}, set()),
        ("export { formats = [‸", {"safetensors", "onnx"}, {"target "}),
        ('extends "‸', {"lib://squad/gmp-90"}, {"stage"}),
        ("# sta‸", set(), {"stage"}),
    ],
)
def test_offers(text: str, offered: set[str], not_offered: set[str]) -> None:
    document, offset = marked(STAGES + text)
    labels = {item.label for item in complete(document, offset)}
    assert offered <= labels
    assert not labels & not_offered


def test_an_offer_replaces_the_word_that_was_begun() -> None:
    document, offset = marked("stage s {\n  prune w {\n    targets = @lin‸")
    item = next(i for i in complete(document, offset) if i.label == "@linear")
    assert document.text[item.span.start : item.span.end] == "@lin"


def test_a_block_comes_with_what_must_be_written_in_it() -> None:
    document, offset = marked("‸")
    model = next(i for i in complete(document, offset) if i.label == "model")
    assert model.snippet
    assert "base = ${2:" in model.text
    assert "task = ${3:" in model.text
    assert "base" in model.doc


def test_a_snippet_without_places_ends_before_the_first() -> None:
    assert without_places("linear(${1:a} -> ${2:b})") == "linear("
    assert without_places("stage.") == "stage."


def test_every_word_offered_as_an_attribute_is_one(tmp_path: Path) -> None:
    """What is offered in a stage and taken with its example is no unknown attribute."""
    document, offset = marked("stage s {\n  ‸\n}")
    for item in complete(document, offset):
        if item.sort == "attribute":
            text = f"{document.text[:offset]}{item.text}1{document.text[offset:]}"
            codes = {d.code for d in check(Source("a.recipe", text)).diagnostics}
            assert "E051" not in codes, item.label


def test_what_a_child_inherits(tmp_path: Path) -> None:
    (tmp_path / "base.recipe").write_text(HEADER + STAGES)
    path = str(tmp_path / "child.recipe")
    document, offset = marked('extends "./base.recipe"\nset ‸', path)
    assert "target" in {i.label for i in complete(document, offset)}
    document, offset = marked('extends "./base.recipe"\npatch ‸', path)
    assert "stage dense" in {i.label for i in complete(document, offset)}
    document, offset = marked('extends "./base.recipe"\nlet x = ‸', path)
    assert {"target", "warm"} <= {i.label for i in complete(document, offset)}


def test_names_of_a_library(tmp_path: Path) -> None:
    (tmp_path / "lib.recipe").write_text(HEADER + "let warm = 2 epochs\n")
    document, offset = marked('use "./lib.recipe" as lib\nlet x = lib.‸', str(tmp_path / "a.recipe"))
    assert [i.label for i in complete(document, offset)] == ["lib.warm"]


def test_a_study_offers_the_parameters_of_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "base.recipe").write_text(HEADER + STAGES)
    text = 'study {\n  of = "./base.recipe"\n}\nvary {\n  ‸\n}\n'
    document, offset = marked(text, str(tmp_path / "a.recipe"))
    assert "target" in {i.label for i in complete(document, offset)}


def test_paths_below_the_folder_and_none_outside(tmp_path: Path) -> None:
    root = tmp_path / "here"
    (root / "bert").mkdir(parents=True)
    (root / "bert" / "config.json").write_text("{}")
    (root / "train.jsonl").write_text("")
    (root / "notes.md").write_text("")
    (tmp_path / "secret.jsonl").write_text("")
    name = str(root / "a.recipe")
    document, offset = marked('model { base = "‸', name)
    assert [i.label for i in complete(document, offset)] == ["bert"]
    document, offset = marked('data { train = "‸', name)
    assert {i.label for i in complete(document, offset)} == {"bert/", "train.jsonl"}
    for outside in ("../", "/", "~/", "../../"):
        document, offset = marked(f'data {{ train = "{outside}‸', name)
        assert not complete(document, offset)


def test_nothing_is_read_for_an_offer_over_the_network() -> None:
    document, offset = marked('extends "oci://example.org/a‸')
    assert all(i.label.startswith(("lib://", "./")) for i in complete(document, offset))
    assert isinstance(document, Document)
