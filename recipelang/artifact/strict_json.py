"""JSON from elsewhere: of a limited size and depth, no key twice, nothing that is not JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any

#: nesting that no manifest or lock comes near
_DEPTH = 32


def read_json(data: bytes, limit: int) -> Any:
    """`ValueError`, with the reason, for anything that is not plain JSON."""
    if len(data) > limit:
        raise ValueError(f"it is larger than {limit // 1024:,} KiB")
    text = data.decode("utf-8")
    if _depth(text) > _DEPTH:
        raise ValueError("it is nested too deeply")
    return json.loads(text, object_pairs_hook=_once, parse_constant=_none, parse_int=_whole, parse_float=_finite)


def write_json(form: object) -> bytes:
    """The one way that manifests are written: the same content has the same digest."""
    return json.dumps(form, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _depth(text: str) -> int:
    deep = most = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        c = found[0]
        if c in "[{":
            deep += 1
            most = max(most, deep)
        elif c in "]}":
            deep -= 1
    return most


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
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
