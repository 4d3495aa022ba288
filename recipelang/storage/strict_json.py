"""JSON from elsewhere: of a limited depth, no key twice, nothing that is not JSON."""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeVar

from recipelang.source.words import limit_text

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound="BaseModel")

#: nesting that no manifest, lock or record comes near
DEPTH = 32


def parse_json(text: str | bytes, limit: int | None = None, *, depth: int = DEPTH) -> Any:
    """`ValueError`, with the reason, for anything that is not plain JSON, or is longer than `limit`."""
    if limit is not None and len(text) > limit:
        raise ValueError(f"it is larger than {limit_text(limit)}")
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if nesting(text) > depth:
        raise ValueError("it is nested too deeply")
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_none, parse_int=_whole, parse_float=_finite)
    except json.JSONDecodeError as error:
        why = error.msg.removesuffix(" at")
        raise ValueError(f"it is not JSON: line {error.lineno}, {why[:1].lower()}{why[1:]}") from None


def parse_model(text: str | bytes, model: type[M], limit: int | None = None) -> M:
    """Strict JSON as a pydantic model. `ValueError` names the first field that is wrong, and what is wrong with it."""
    from pydantic import ValidationError

    parse_json(text, limit)
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(first_wrong(error)) from None


def first_wrong(error: ValidationError) -> str:
    """The first field that is wrong, and what is wrong with it."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = re.sub(r"[^ -~]", "?", ".".join(str(part) for part in first["loc"])) or "the whole"
    why = first["msg"].removeprefix("Value error, ")
    return f"`{where[:80]}`: {why[:1].lower()}{why[1:160]}"


def canonical_json(form: object) -> bytes:
    """The one way that manifests are written: the same content has the same digest."""
    return json.dumps(form, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def nesting(text: str) -> int:
    """The most brackets that are open at once, strings left out."""
    brackets = re.sub(r"[^\[\]{}]+", "", re.sub(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', "", text))
    return max(accumulate(1 if c in "[{" else -1 for c in brackets), default=0)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _none(name: str) -> Any:
    raise ValueError(f"`{name}` is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _whole(digits: str) -> int:
    if len(digits) > 20:  # a seed may be of 64 bits
        raise ValueError("a number has too many digits")
    return int(digits)
