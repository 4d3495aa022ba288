"""`frozen` is `dataclass(frozen=True)`: what it makes once for all classes is what the standard library makes for each."""

from collections.abc import Callable, Mapping
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


@pytest.mark.parametrize("classes", [OURS, THEIRS], ids=["ours", "the standard library's"])
@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((), {}),
        ((), {"text": "t"}),
        (("a", "t", (), 3), {}),
        (("a",), {"name": "b"}),
        (("a",), {"lime": 3}),
        ((), {"nane": "a", "line": 3}),
    ],
)
def test_what_a_class_does_not_take_is_refused(
    classes: tuple[Any, Any], values: tuple[object, ...], named: Mapping[str, object]
) -> None:
    with pytest.raises(TypeError):
        classes[1](*values, **named)


def test_each_value_has_a_default_of_its_own_and_is_completed_once_all_are_there() -> None:
    @frozen
    class Made:
        first: list[int] = field(default_factory=list)
        second: tuple[int, ...] = (2,)
        seen: list[object] = field(default_factory=list, kw_only=True)

        def __post_init__(self) -> None:
            self.seen.append((self.first, self.second))

    one, other = Made(), Made([1], seen=[0])
    assert (one.first, one.second, one.seen) == ([], (2,), [([], (2,))])
    assert (other.first, other.seen) == ([1], [0, ([1], (2,))])
    assert one.first is not Made().first


def test_nothing_can_be_set_or_deleted() -> None:
    value = OURS[0]("a")
    for change in (
        lambda: setattr(value, "name", "b"),
        lambda: setattr(value, "other", 1),
        lambda: delattr(value, "name"),
    ):
        with pytest.raises(FrozenInstanceError):
            change()
    assert replace(value, name="b") == OURS[0]("b")
