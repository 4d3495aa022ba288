"""What a block is made of: a Spec with attributes, each written once with all there is to know of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

from recipelang.values.composite import SparsityPattern
from recipelang.values.kinds import Kind

#: stands in `Attr.later` for every value
ANY = "any value"


@dataclass(frozen=True)
class Attr:
    """One attribute: its type, what it says, and what else there is to know of it.

    `digest`: `b` also in the behaviour digest, `s` in the spec digest only, `-` in neither.
    `example` is a value as it is written. `later` lists values that are of the language, but not of
    this release: the plan refuses them; `ANY` stands for every value. `unordered`: a list whose order
    means nothing. `added`: came after the first digests, and is in the canonical form only where it is not the
    default, so that no digest changed.
    """

    kind: Kind
    doc: str
    digest: str = "b"
    example: str = field(kw_only=True)
    later: tuple[str, ...] = field(default=(), kw_only=True)
    unordered: bool = field(default=False, kw_only=True)
    added: bool = field(default=False, kw_only=True)

    def postponed(self, value: object) -> object:
        """The part of a value that this release cannot run, if any."""
        if value in (None, "", ()):
            return None
        items = value if isinstance(value, tuple) else (value,)
        return next((item for item in items if ANY in self.later or _word(item) in self.later), None)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.kind if isinstance(value, SparsityPattern) else str(value)


class Conflict(NamedTuple):
    """E054 at an attribute."""

    attribute: str
    message: str
    help: str


class Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True)

    #: how many labels the block takes: (least, most)
    LABELS: ClassVar[tuple[int, int]] = (0, 0)

    @classmethod
    @cache
    def attributes(cls) -> dict[str, Attr]:
        return {
            name: next(m for m in info.metadata if isinstance(m, Attr))
            for name, info in cls.model_fields.items()
            if any(isinstance(m, Attr) for m in info.metadata)
        }

    @classmethod
    @cache
    def required(cls) -> tuple[str, ...]:
        return tuple(name for name, info in cls.model_fields.items() if info.is_required() and name in cls.attributes())

    @classmethod
    def wanted(cls, values: Mapping[str, object]) -> tuple[str, ...]:
        """Attributes that must be written, given the others."""
        return cls.required()

    @classmethod
    def conflict(cls, values: Mapping[str, object]) -> Conflict | None:
        """Attributes that contradict each other."""
        return None
