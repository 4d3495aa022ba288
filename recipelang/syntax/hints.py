"""What other languages would have written there: help for a line that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence

from lark import Token

_BUILD = 'build on a recipe with `extends "FILE"`; import values from another file with `use "FILE" as NAME`'
_LOOP = "there are no loops: a schedule says when, a selector says where"
_NAMED = "name a value with `let NAME = VALUE`"
#: the first word of a line -> how this language says it
FOREIGN = {
    "assert": "state what must hold after the run with `expect CONDITION`",
    "check": "state what must hold after the run with `expect CONDITION`",
    "import": _BUILD,
    "include": _BUILD,
    "from": _BUILD,
    "for": _LOOP,
    "while": _LOOP,
    "if": "`if` chooses a value: `name = if CONDITION then A else B`",
    "var": _NAMED,
    "const": _NAMED,
    "def": _NAMED,
}
_CLAIMS = ("require", "expect", "prefer")
_NUMBERS = ("NUMBER", "PERCENT")


def of_line(line: Sequence[Token], token: Token) -> str | None:
    """`line`: what was read of it before `token`, which cannot stand there."""
    first, *rest = [*map(str, line)] or [str(token)]
    if first in FOREIGN:
        return FOREIGN[first]
    if not line:
        return None
    before = line[-1]
    if first == "param" and token.type == "EQUAL" and len(rest) == 1:
        return f"its type comes before its value, as in `param {rest[0]}: ratio = 90%`"
    if first == "param" and token.type == "COMMA" and "in" in rest:
        return "a range is written with two dots: `in 50%..99%`"
    if first in _CLAIMS and token.type == "EQUAL":
        return "compare values with `==`"
    if token.type == "ROLE" and before.type == "COMMA":
        return f"join selectors with `|`, as in `@embeddings | {token}`"
    if token.type in _NUMBERS and before.type == "NAME":
        if before in ("to", "until", "upto"):
            return "a change is written `A -> B`, and a range `A..B`"
        if len(line) > 1 and line[-2].type == "NUMBER":
            return "add durations, as in `1 epoch + 10 steps`"
    return None
