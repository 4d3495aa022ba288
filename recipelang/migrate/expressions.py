"""`eval(...)` of old recipes as a small tree: names, numbers, `+ - * /` and brackets. Nothing is evaluated as code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

#: longer or deeper ones are no formulas of a person
MAX_TOKENS, MAX_DEPTH = 200, 20

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d{1,2})?|\.\d+)|([A-Za-z_]\w*)|(.))", re.DOTALL | re.ASCII)


class NotRead(ValueError):
    """Why a text is no such expression."""


@dataclass(frozen=True)
class Number:
    value: Fraction


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Operation:
    sign: str
    left: Expression
    right: Expression


Expression = Number | Name | Operation

_EVAL = re.compile(r"\s*eval\((.*)\)\s*", re.DOTALL)


def inside_eval(text: str) -> str | None:
    """`num_epochs - 2` of `eval(num_epochs - 2)`."""
    match = _EVAL.fullmatch(text)
    return match[1] if match else None


def read(text: str) -> Expression:
    """
    >>> names(read("(epochs - 2) * 0.5"))
    ('epochs',)
    >>> read("__import__('os')")
    Traceback (most recent call last):
    recipelang.migrate.expressions.NotRead: `(` cannot follow here
    """
    tokens = [m for m in _TOKEN.finditer(text) if m[0].strip()]
    if len(tokens) > MAX_TOKENS:
        raise NotRead("it is too long")
    return _Reader(tokens).whole()


class _Reader:
    def __init__(self, tokens: list[re.Match[str]]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0

    def whole(self) -> Expression:
        found = self._sum()
        if (sign := self._sign()) is not None or self.at < len(self.tokens):
            raise NotRead(f"`{sign or self.tokens[self.at][0].strip()}` cannot follow here")
        return found

    def _sum(self) -> Expression:
        found = self._product()
        while (sign := self._sign()) in ("+", "-"):
            self.at += 1
            found = Operation(str(sign), found, self._product())
        return found

    def _product(self) -> Expression:
        found = self._single()
        while (sign := self._sign()) in ("*", "/"):
            self.at += 1
            found = Operation(str(sign), found, self._single())
        return found

    def _single(self) -> Expression:
        if self.at >= len(self.tokens):
            raise NotRead("it ends too early")
        token = self.tokens[self.at]
        self.at += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotRead("it is nested too deep")
        try:
            if token[1]:
                return Number(Fraction(token[1]))
            if token[2]:
                return Name(token[2])
            if token[3] == "-":
                return Operation("-", Number(Fraction(0)), self._single())
            if token[3] == "(":
                found = self._sum()
                if self._sign() != ")":
                    raise NotRead("a bracket is not closed")
                self.at += 1
                return found
        finally:
            self.depth -= 1
        raise NotRead(f"`{token[3]}` is not understood")

    def _sign(self) -> str | None:
        return self.tokens[self.at][3] if self.at < len(self.tokens) else None


def names(expression: Expression) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_names(expression)))


def _names(expression: Expression) -> Iterator[str]:
    match expression:
        case Name():
            yield expression.name
        case Operation():
            yield from _names(expression.left)
            yield from _names(expression.right)


def value(expression: Expression, known: Mapping[str, Fraction]) -> Fraction:
    """Exactly. `KeyError` for a name that has no value, `NotRead` for a division by zero."""
    match expression:
        case Number():
            return expression.value
        case Name():
            return known[expression.name]
    left, right = value(expression.left, known), value(expression.right, known)
    match expression.sign:
        case "+":
            found = left + right
        case "-":
            found = left - right
        case "*":
            found = left * right
        case _:
            if right == 0:
                raise NotRead("it divides by zero")
            found = left / right
    if max(found.numerator.bit_length(), found.denominator.bit_length()) > 256:
        raise NotRead("its value is too large")
    return found
