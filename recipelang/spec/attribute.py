"""What a block is made of: a Spec with attributes, each written once with all there is to know of it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from functools import cache
from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from recipelang.kinds.base import Evaluated, Kind, Mismatch
from recipelang.source.frozen import frozen
from recipelang.values.composite import SparsityPattern

#: stands in `Attr.later` for every value
ANY = "any value"


@frozen
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

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return self.kind.__get_pydantic_core_schema__(source, handler)

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


def conflict(attribute: str, message: str, help: str) -> PydanticCustomError:
    """E054, to be raised by a model's validator: attributes that contradict each other, shown at one of them."""
    return PydanticCustomError("E054", "{message}", {"message": message, "attribute": attribute, "help": help})


def refusal(code: str, attribute: str, message: str, help: str, subject: str | None = None) -> PydanticCustomError:
    """As `conflict`, with a code of its own; `subject`: the name in the value that is meant."""
    told = {"message": message, "attribute": attribute, "help": help, "subject": subject}
    return PydanticCustomError(code, "{message}", told)  # type: ignore[arg-type]


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

    @model_validator(mode="wrap")
    @classmethod
    def _complete(cls, values: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """What has to be written is missed beside what is wrong in the rest, not after it."""
        if not isinstance(values, dict):
            return handler(values)
        try:
            spec, errors, known = (made := handler(values)), list[InitErrorDetails](), dict(made)
        except ValidationError as error:
            spec, errors, known = None, [*_again(error)], dict(cls._readable(values, info))
        for name in cls._wanted(known, values, info):
            if values.get(name) is None and not any(e["loc"] == (name,) for e in errors):
                missing = PydanticCustomError("E053", "`{name}` is missing", {"name": name})
                errors.append(InitErrorDetails(type=missing, loc=(name,), input=None))
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return spec

    @classmethod
    def _readable(cls, values: Mapping[str, object], info: ValidationInfo) -> Iterator[tuple[str, object]]:
        for name, value in values.items():
            with suppress(Mismatch):
                kind = cls.attributes()[name].kind if name in cls.attributes() else None
                if kind is not None and isinstance(info.context, Evaluated):
                    value = kind.read(value)
                elif kind is not None:
                    kind.check(value)
                yield name, value

    @classmethod
    def _wanted(
        cls, known: Mapping[str, object], values: Mapping[str, object], info: ValidationInfo
    ) -> tuple[str, ...]:
        """What is missing whichever value the wrong ones should have had."""
        meant = info.context.meant if isinstance(info.context, Evaluated) else {}
        known = {**known, **{n: v for n, v in meant.items() if n not in values}}  # rather than a default
        wanted = cls.wanted(known)
        for name in values.keys() & cls.attributes().keys() - known.keys():
            for symbol in cls.attributes()[name].kind.symbols:
                also = cls.wanted({**known, name: symbol})
                wanted = tuple(w for w in wanted if w in also)
        return wanted


def _again(error: ValidationError) -> Iterator[InitErrorDetails]:
    """The errors of one validation, to be raised again with others."""
    for item in error.errors(include_url=False):
        kind: Any = item["type"]
        if kind == "missing":
            found = PydanticCustomError("E053", "`{name}` is missing", {"name": str(item["loc"][-1])})
        else:
            found = PydanticCustomError(kind, "{message}", {"message": item["msg"], **item.get("ctx", {})})
        yield InitErrorDetails(type=found, loc=item["loc"], input=item["input"])
