"""The frozen dataclass of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from functools import cache
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
    places, defaults, completed = _taken(self.__class__)
    given = dict(zip(places, values, strict=False))
    given.update(named)
    if len(given) != len(values) + len(named) or not named.keys() <= defaults.keys():
        raise TypeError(f"{type(self).__qualname__}() takes {', '.join(defaults)}, each at most once")
    for name, default in defaults.items():
        _put(self, name, given[name] if name in given else default())
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


@cache
def _taken(kind: Any) -> tuple[list[str], dict[str, Callable[[], object]], bool]:
    """Fields by their place, what gives the default of each, and whether there is more to do once they are there."""
    every = fields(kind)
    return (
        [f.name for f in every if not f.kw_only],
        {f.name: _default(kind, f) for f in every},
        hasattr(kind, "__post_init__"),
    )


def _default(kind: Any, of: Field[Any]) -> Callable[[], object]:
    if of.default_factory is not MISSING:
        return of.default_factory

    def default() -> object:
        if of.default is MISSING:
            raise TypeError(f"{kind.__qualname__}() lacks `{of.name}`")
        return of.default

    return default


@cache
def _compared(kind: Any) -> Callable[[Any], Any]:
    """The values of the fields that take part in equality."""
    return attrgetter(*(f.name for f in fields(kind) if f.compare))
