"""A plugin for pytest, `-p tests.unit.validation.switched_off`: pydantic makes models and validates nothing."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def _init(self: BaseModel, /, **values: Any) -> None:
    made = type(self).model_construct(**values)
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        object.__setattr__(self, name, getattr(made, name))


def _validate(cls: type[BaseModel], values: Any, **_: Any) -> Any:
    return cls.model_construct(**values) if isinstance(values, dict) else values


BaseModel.__init__ = _init  # type: ignore[method-assign]
BaseModel.model_validate = classmethod(_validate)  # type: ignore[assignment]
