"""Where a cursor stands, of texts that are half written."""

from __future__ import annotations

import pytest

from recipelang.editor.context import Call, context
from tests.unit.editor.marked import marked


@pytest.mark.parametrize(
    ("text", "where", "blocks", "word"),
    [
        ("st‸", "statement", (), "st"),
        ("stage s {\n  pr‸", "statement", ("stage",), "pr"),
        ("stage s {\n  prune w {\n    ‸\n  }\n}", "statement", ("stage", "prune"), ""),
        ("stage s { length = 3 epochs, bat‸ }", "statement", ("stage",), "bat"),
        ("patch stage s {\n  len‸", "statement", ("stage",), "len"),
        ("stage s {\n  length = 3 ep‸", "value", ("stage",), "ep"),
        ("stage s {\n prune w {\n  targets = @lin‸", "value", ("stage", "prune"), "@lin"),
        ("stage s {\n distill {\n  teacher = stage.de‸", "value", ("stage", "distill"), "stage.de"),
        ("param x: ra‸", "type", (), "ra"),
        ("param x‸", "name", (), "x"),
        ("expect dev.‸", "claim", (), "dev."),
        ('model {\n  base = "./mo‸', "string", ("model",), "./mo"),
        ("# a com‸ment", "comment", (), ""),
        ("stage s {\n  # a com‸\n}", "comment", (), ""),
        ("stage s {}\n‸", "statement", (), ""),
    ],
)
def test_the_place_of_a_cursor(text: str, where: str, blocks: tuple[str, ...], word: str) -> None:
    document, offset = marked(text)
    found = context(document, offset)
    assert (found.where, found.blocks, found.word) == (where, blocks, word)


@pytest.mark.parametrize(
    ("text", "attribute", "calls"),
    [
        ("stage s {\n  learning_rate = linear(8e-5 -> ‸", "learning_rate", (Call("linear", 0),)),
        ("stage s {\n  learning_rate = linear(8e-5 -> 0, over = ‸", "learning_rate", (Call("linear", 1, "over"),)),
        ("stage s {\n  learning_rate = linear(8e-5 -> 0, over = start..end)‸", "learning_rate", ()),
        (
            "stage s {\n  prune w {\n    sparsity = [cubic(0% -> 90%, ‸",
            "sparsity",
            (Call("", 0), Call("cubic", 1)),
        ),
        ("let x = linear(‸", None, (Call("linear", 0),)),
        ("let x = lib.shape(‸", None, (Call("lib.shape", 0),)),
    ],
)
def test_the_call_around_a_cursor(text: str, attribute: str | None, calls: tuple[Call, ...]) -> None:
    document, offset = marked(text)
    found = context(document, offset)
    assert (found.attribute, found.calls) == (attribute, calls)
    assert found.where == "value"
