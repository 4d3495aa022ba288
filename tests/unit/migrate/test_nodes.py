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


@pytest.mark.parametrize("tag", ["python/object/apply:os.system", "python/tuple", "nothing"])
def test_a_tag_makes_no_object_and_nothing_below_it_is_passed_over(tag: str) -> None:
    with pytest.raises(RecipeError) as error:
        read(f"a:\n  - 1\n  - !!{tag} ['true']\n")
    (told,) = error.value.diagnostics
    assert (told.code, told.message) == ("E110", f"the tag `!!{tag}` is not supported")


def test_tags_of_yaml_itself_say_nothing() -> None:
    root, _ = read("a: !!float 1\nb: !!map {c: !!str 2}\n")
    assert isinstance(root, Map) and isinstance(root.get("a"), Scalar) and isinstance(root.get("b"), Map)


@pytest.mark.parametrize("more", ["b: 2", "- b", "b", "&a 1", "!T x"])
def test_a_second_document_is_refused(more: str) -> None:
    with pytest.raises(RecipeError) as error:
        read(f"a: 1\n---\n{more}\n")
    assert error.value.diagnostics[0].message == "a second document begins here"


@pytest.mark.parametrize("text", ["---\na: 1\n", "a: 1\n...\n", "a: 1\n---\n", "a: 1\n---\n# no more\n"])
def test_a_line_of_dashes_alone_is_no_second_document(text: str) -> None:
    root, _ = read(text)
    assert isinstance(root, Map) and [e.key for e in root.entries] == ["a"]


def test_a_merge_gives_what_is_not_written() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {x: 3, <<: *a}\nd:\n  <<: [*a, *b]\n  z: 4\n"
    root, found = read(text)
    assert isinstance(root, Map)
    values = {}
    for name in "cd":
        inner = root.get(name)
        assert isinstance(inner, Map)
        values[name] = {e.key: v.text for e in inner.entries if isinstance(v := plain(e.value), Scalar)}
    assert values == {"c": {"x": "3", "y": "1"}, "d": {"x": "1", "y": "1", "z": "4"}}
    assert not list(found)


def test_merges_of_merges_are_counted_as_written_out() -> None:
    lines = ["a0: &a0 {k: [x, x, x, x, x, x, x, x]}"]
    lines += [f"a{i}: &a{i} {{k{i}: [{', '.join([f'*a{i - 1}'] * 8)}], <<: *a{i - 1}}}" for i in range(1, 12)]
    assert refused("\n".join(lines)) == "E043"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * (MAX_DEPTH + 2), "E044"),
        ("#" * (MAX_BYTES + 1), "E042"),
        ("a: [1, 2\n", "E110"),
        ("a: *nothing\n", "E110"),
        ("a: &x [*x]\n", "E110"),
        ("{[1]: 2}\n", "E110"),
        ("{<<: 2}\n", "E110"),
        ("a: &a {b: 1}\nc: {<<: [*a, 2]}\n", "E110"),
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
