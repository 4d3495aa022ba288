"""The frozen dataclass of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from functools import cache, partial
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

_put = object.__setattr__


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """`@dataclass(frozen=True)`, with one `__init__`, `repr`, `==`, `hash` and refusal of changes for all such classes.

    The standard library compiles them anew for each class, which takes longer than all of a short recipe.
    """
    for name, method in _METHODS.items():
        if name not in vars(kind):
            setattr(kind, name, method)
    return dataclass(init=False, repr=False, eq=False)(kind)


def _init(self: Any, *values: object, **named: object) -> None:
    kind = self.__class__
    places, left, completed = _taken(kind)
    if len(values) > len(places):
        raise TypeError(f"{kind.__qualname__}() takes {len(places)} values without a name, not {len(values)}")
    for name, value in zip(places, values, strict=False):
        _put(self, name, value)
    used = 0
    for name, value, make in left[len(values)]:
        if name in named:
            _put(self, name, named[name])
            used += 1
        else:
            _put(self, name, make() if make else value)
    if used != len(named):
        raise TypeError(f"{kind.__qualname__}() takes {', '.join(n for n, *_ in left[0])}, each once at most")
    if completed:
        self.__post_init__()


def _repr(self: Any) -> str:
    shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: Any) -> bool:
    if other.__class__ is not self.__class__:
        return NotImplemented
    values = _compared(self.__class__)
    return values(self) == values(other)  # type: ignore[no-any-return]


def _hash(self: Any) -> int:
    return hash(_compared(self.__class__)(self))


def _set(self: Any, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_METHODS = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _set,
    "__delattr__": _delete,
}


#: a field's name, its default, and what makes one
_Field = tuple[str, object, Callable[[], object] | None]


@cache
def _taken(kind: Any) -> tuple[list[str], list[list[_Field]], bool]:
    """Fields by their place; those left after so many values; whether there is more to do once all are set."""
    every: list[_Field] = []
    for f in fields(kind):
        lacks = partial(_lacks, kind, f.name) if f.default is MISSING else None
        every.append((f.name, f.default, lacks if f.default_factory is MISSING else f.default_factory))
    places = [f.name for f in fields(kind) if not f.kw_only]
    left = [[e for e in every if e[0] not in places[:n]] for n in range(len(places) + 1)]
    return places, left, hasattr(kind, "__post_init__")


def _lacks(kind: Any, name: str) -> object:
    raise TypeError(f"{kind.__qualname__}() lacks `{name}`")


@cache
def _compared(kind: Any) -> Callable[[Any], Any]:
    """The values of the fields that take part in equality."""
    return attrgetter(*(f.name for f in fields(kind) if f.compare))
