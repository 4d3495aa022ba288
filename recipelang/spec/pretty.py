"""A canonical form for people: JSON over several lines."""

from __future__ import annotations

import json
import re

#: what fits on a line stands on one
WIDTH = 88

#: not to be seen, or a line end elsewhere
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def pretty(form: object) -> str:
    """
    >>> print(pretty({"length": {"n": "30", "u": "epoch"}}), end="")
    {"length": {"n": "30", "u": "epoch"}}
    """
    return "\n".join(_json(form)) + "\n"


def _json(form: object) -> list[str]:
    """Lines, without the indentation of what is around."""
    match form:
        case dict():
            parts = [_after(f"{_quoted(key)}: ", _json(value)) for key, value in form.items()]
            return _bracket("{", parts, "}")
        case list():
            return _bracket("[", [_json(item) for item in form], "]")
    return [_quoted(form)]


def _after(key: str, lines: list[str]) -> list[str]:
    return [key + lines[0], *lines[1:]]


def _bracket(opening: str, parts: list[list[str]], closing: str) -> list[str]:
    flat = _flat(opening, [part[0] if len(part) == 1 else None for part in parts], closing)
    if flat is not None:
        return [flat]
    ends = [*([","] * (len(parts) - 1)), ""]
    lines = [f"  {line}" for part, end in zip(parts, ends, strict=True) for line in (*part[:-1], part[-1] + end)]
    return [opening, *lines, closing]


def _flat(opening: str, parts: list[str | None], closing: str) -> str | None:
    inside = [part for part in parts if part is not None]
    fits = len(inside) == len(parts) and sum(len(part) + 2 for part in inside) <= WIDTH
    return opening + ", ".join(inside) + closing if fits else None


def _quoted(form: object) -> str:
    return _ESCAPED.sub(lambda m: f"\\u{ord(m.group()):04x}", json.dumps(form, ensure_ascii=False))
