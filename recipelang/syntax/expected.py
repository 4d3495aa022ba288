"""Terminals in the words of the person who writes recipes."""

from __future__ import annotations

from lark import Token

_NAMES = {
    "NL": "the end of the line",
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string",
    "$END": "the end of the file",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "EQUAL": "`=`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "DOT": "`.`",
    "RECIPE": "`recipe`",
    "IF": "`if`",
    "THEN": "`then`",
    "ELSE": "`else`",
    "AS": "`as`",
}
_LONGEST = 40  # more of a token says no more
_STARTS_A_VALUE = frozenset({"NUMBER", "PERCENT", "NM", "STRING", "ROLE", "LSQB"})
_OPERATORS = frozenset(
    {
        "CMP",
        "PM",
        "ARROW",
        "DOTS",
        "EXCEPT",
        "VBAR",
        "AMPERSAND",
        "PLUS",
        "MINUS",
        "STAR",
        "SLASH",
        "OR",
        "AND",
        "PER",
        "IN",
    }
)
_ORDER = [
    "NAME",
    "EQUAL",
    "LBRACE",
    "RBRACE",
    "STRING",
    "COLON",
    "RPAR",
    "RSQB",
    "COMMA",
    "THEN",
    "ELSE",
    "AS",
    "NL",
    "$END",
]


def describe(token: Token) -> str:
    """What was found, as a person names it."""
    match token.type:
        case "NL":
            return "the end of the line"
        case "$END":
            return "the end of the file"
        case "STRING" | "MLSTRING":
            return "a string"
    return f"`{token}`" if len(token) <= _LONGEST else f"`{token[:_LONGEST]}...`"


def describe_expected(expected: frozenset[str]) -> str:
    """A short phrase for what could stand here: the three most telling choices."""
    if expected >= _STARTS_A_VALUE:
        return "a value"
    if {"PARAM", "LET"} & expected and "NL" not in expected:
        return "a statement"
    rest = expected - _OPERATORS if expected - _OPERATORS else expected
    rest = rest - {"$END"} if "NL" in rest else rest  # a line may end with the file
    known = [t for t in _ORDER if t in rest] + sorted(t for t in rest if t not in _ORDER and t in _NAMES)
    words = [_NAMES[t] for t in known][:3]
    if not words:
        return "something else"
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
