"""YAML is read with its places, within limits, and what it leaves silent is said."""

from __future__ import annotations

import pytest

from recipelang.migrate.nodes import MAX_BYTES, MAX_DEPTH, List, Map, Scalar, compose, plain
from recipelang.source import Diagnostics, RecipeError, Source


def read(text: str) -> tuple[object, Diagnostics]:
    found = Diagnostics()
    return compose(Source("a.yaml", text), found), found


def refused(text: str) -> str:
    with pytest.raises(RecipeError) as error:
        read(text)
    return error.value.diagnostics[0].code


def test_every_node_has_its_place() -> None:
    text = "a: 1\nb: [x, é, z]\n"
    root, _ = read(text)
    assert isinstance(root, Map)
    (_, b) = root.entries
    inner = plain(b.value)
    assert isinstance(inner, List)
    assert [text[i.span.start : i.span.end] for i in inner.items] == ["x", "é", "z"]
    assert text[b.at.start : b.at.end] == "b"


def test_an_alias_is_the_node_that_it_names() -> None:
    root, _ = read("a: &x 5\nb: *x\n")
    assert isinstance(root, Map)
    a, b = root.get("a"), root.get("b")
    assert a is not None and b is not None and a is not b
    assert plain(a) is plain(b)


def test_the_last_of_two_equal_keys_counts_and_is_told() -> None:
    root, found = read("a: 1\nb: 2\na: 3\n")
    assert isinstance(root, Map)
    value = root.get("a")
    assert isinstance(value, Scalar) and value.text == "3"
    assert [d.code for d in found] == ["W130"]


def test_a_tag_makes_no_object() -> None:
    root, _ = read("a: !!python/object/apply:os.system ['true']\n")
    assert isinstance(root, Map) and isinstance(root.get("a"), List)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * (MAX_DEPTH + 2), "E044"),
        ("#" * (MAX_BYTES + 1), "E042"),
        ("a: [1, 2\n", "E110"),
        ("a: *nothing\n", "E110"),
        ("a: &x [*x]\n", "E110"),
        ("{[1]: 2}\n", "E110"),
        ("a: \x07\n", "E110"),
        ("a\n b: c\n: d: e\n", "E110"),
    ],
)
def test_limits_and_broken_text(text: str, code: str) -> None:
    assert refused(text) == code


def test_aliases_of_aliases_are_counted_as_written_out() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 12)]
    assert refused("\n".join(lines)) == "E043"
