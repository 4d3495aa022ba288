"""A canonical form for people: JSON over several lines, and YAML. Both hold the same document."""

from __future__ import annotations

import json
import re

#: what fits on a line stands on one
WIDTH = 88

#: plain in YAML 1.1 and 1.2: a word that neither takes for a truth, a number or nothing
_PLAIN = re.compile(r"(?!(?i:y|n|yes|no|on|off|true|false|null|nan|inf)$)[A-Za-z_][A-Za-z0-9_]*")
#: allowed in JSON, but not in YAML, or a line end there
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


def yaml(form: object) -> str:
    """Every scalar that a reader of YAML 1.1 or 1.2 could take for something else stands in quotes.

    >>> print(yaml({"on": ["logits"], "batch": "16", "clip": None, "split": "x" * 90}), end="")
    "on": ["logits"]
    batch: "16"
    clip: null
    split: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    """
    return "\n".join(_yaml(form)[1]) + "\n"


def _yaml(form: object) -> tuple[str | None, list[str]]:
    """As JSON on one line, if it fits (that much JSON is YAML); and the lines."""
    flats: list[str | None] = []
    lines: list[str] = []
    match form:
        case dict():
            for key, value in form.items():
                flat, inner = _yaml(value)
                flats.append(flat and f"{_quoted(key)}: {flat}")
                lines += _entry(key, flat, inner)
            whole = _flat("{", flats, "}")
        case list():
            for item in form:
                flat, inner = _yaml(item)
                flats.append(flat)
                lines += [f"- {inner[0]}", *(f"  {line}" for line in inner[1:])]
            whole = _flat("[", flats, "]")
        case _:
            return _quoted(form), [_scalar(form)]
    return whole, lines if whole is None else [whole]


def _flat(opening: str, parts: list[str | None], closing: str) -> str | None:
    inside = [part for part in parts if part is not None]
    fits = len(inside) == len(parts) and sum(len(part) + 2 for part in inside) <= WIDTH
    return opening + ", ".join(inside) + closing if fits else None


def _entry(key: str, line: str | None, lines: list[str]) -> list[str]:
    name = f"{_scalar(key)}:"
    return [f"{name} {lines[0]}"] if line is not None else [name, *(f"  {x}" for x in lines)]


def _scalar(form: object) -> str:
    return form if isinstance(form, str) and _PLAIN.fullmatch(form) else _quoted(form)


def _quoted(form: object) -> str:
    return _ESCAPED.sub(lambda m: f"\\u{ord(m.group()):04x}", json.dumps(form, ensure_ascii=False))
