"""The frozen dataclass of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """`@dataclass(frozen=True)`, with one `repr`, `==` and `hash` for all such classes.

    The standard library compiles them anew for each class, which takes longer than all of a short recipe.
    """
    for name, method in (("__repr__", _repr), ("__eq__", _eq), ("__hash__", _hash)):
        if name not in vars(kind):
            setattr(kind, name, method)
    return dataclass(frozen=True, repr=False, eq=False)(kind)


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


@cache
def _compared(kind: Any) -> Callable[[Any], Any]:
    """The values of the fields that take part in equality."""
    return attrgetter(*(f.name for f in fields(kind) if f.compare))
