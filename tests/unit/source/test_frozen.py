"""`frozen` is `dataclass(frozen=True)`: what it makes once for all classes is what the standard library makes for each."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from recipelang.source.frozen import frozen


def _classes(decorate: Callable[[type], type]) -> tuple[Any, Any]:
    @decorate
    class Place:
        name: str
        line: int = field(default=0, compare=False, kw_only=True)
        text: str = field(default="", repr=False)

    @decorate
    class Inner(Place):
        parts: tuple[object, ...] = ()

    return Place, Inner


OURS, THEIRS = _classes(frozen), _classes(dataclass(frozen=True))


def _values(classes: tuple[Any, Any]) -> list[Any]:
    place, inner = classes
    return [
        place("a"),
        place("a", line=3),
        place("a", "t"),
        place("b"),
        inner("a"),
        inner("a", line=1),
        inner("a", "", (place("b"),)),
        inner("a", "", (place("b", line=2),)),
        inner("a", "", ([],)),
        "a",
    ]


def test_equality_and_repr_are_those_of_a_dataclass() -> None:
    ours, theirs = _values(OURS), _values(THEIRS)
    assert [[a == b for b in ours] for a in ours] == [[a == b for b in theirs] for a in theirs]
    assert [repr(v) for v in ours] == [repr(v) for v in theirs]


def test_equal_values_have_one_hash_and_one_that_holds_a_list_has_none() -> None:
    values = _values(OURS)
    assert all(hash(a) == hash(b) for a in values[:8] for b in values[:8] if a == b)
    assert len(set(values[:8])) == len(set(_values(THEIRS)[:8]))
    with pytest.raises(TypeError, match="unhashable"):
        hash(values[8])


def test_what_a_class_defines_itself_is_kept() -> None:
    @frozen
    class Own:
        name: str

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return self.name

    assert (hash(Own("a")), repr(Own("a")), Own("a") == Own("a")) == (7, "a", True)


def test_nothing_can_be_set() -> None:
    value = OURS[0]("a")
    with pytest.raises(FrozenInstanceError):
        value.name = "b"
    assert replace(value, name="b") == OURS[0]("b")
