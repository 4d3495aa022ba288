"""`eval(...)` of old recipes as a small tree: what SparseML's own evaluator knew. Nothing is evaluated as code.

That is names, numbers, `+ - * / // % **`, brackets, and the functions in `FUNCTIONS`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

#: longer or deeper ones are no formulas of a person
MAX_TOKENS, MAX_DEPTH = 200, 20
#: of a value, in bits of its numerator or denominator, and of a power
MAX_BITS, MAX_POWER = 256, 64
#: name -> the fewest and the most arguments
FUNCTIONS = {"abs": (1, 1), "float": (1, 1), "int": (1, 1), "max": (2, 9), "min": (2, 9), "round": (1, 2)}
#: for the help of what is not read
READ = "names, numbers, `+ - * / // % **`, brackets, and `abs float int max min round` are supported"

_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d{1,2})?|\.\d+)|([A-Za-z_]\w*)|(\*\*|//|.))", re.DOTALL | re.ASCII
)


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


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Expression, ...]


Expression = Number | Name | Operation | Call

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
    recipelang.migrate.expressions.NotRead: `(` is not allowed here
    """
    tokens = [m for m in _TOKEN.finditer(text) if m[0].strip()]
    if len(tokens) > MAX_TOKENS:
        raise NotRead("the formula is too long")
    return _Reader(tokens).whole()


class _Reader:
    def __init__(self, tokens: list[re.Match[str]]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0

    def whole(self) -> Expression:
        found = self._sum()
        if (sign := self._sign()) is not None or self.at < len(self.tokens):
            raise NotRead(f"`{sign or self.tokens[self.at][0].strip()}` is not allowed here")
        return found

    def _sum(self) -> Expression:
        found = self._product()
        while (sign := self._sign()) in ("+", "-"):
            self.at += 1
            found = Operation(str(sign), found, self._product())
        return found

    def _product(self) -> Expression:
        found = self._signed()
        while (sign := self._sign()) in ("*", "/", "//", "%"):
            self.at += 1
            found = Operation(str(sign), found, self._signed())
        return found

    def _signed(self) -> Expression:
        """A power binds tighter than a minus before it, and looser than one behind it."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotRead("the formula is nested too deeply")
        try:
            if self._sign() == "-":
                self.at += 1
                return Operation("-", Number(Fraction(0)), self._signed())
            found = self._single()
            if self._sign() == "**":
                self.at += 1
                found = Operation("**", found, self._signed())
            return found
        finally:
            self.depth -= 1

    def _single(self) -> Expression:
        if self.at >= len(self.tokens):
            raise NotRead("the formula is incomplete")
        token = self.tokens[self.at]
        self.at += 1
        if token[1]:
            return Number(Fraction(token[1]))
        if token[2]:
            return self._call(token[2]) if self._sign() == "(" else Name(token[2])
        if token[3] == "(":
            found = self._sum()
            self._close()
            return found
        raise NotRead(f"`{token[3]}` is not understood")

    def _call(self, function: str) -> Expression:
        if function not in FUNCTIONS:
            raise NotRead(f"there is no function `{function}`")
        self.at += 1
        arguments = [self._sum()]
        while self._sign() == ",":
            self.at += 1
            arguments.append(self._sum())
        self._close()
        fewest, most = FUNCTIONS[function]
        if not fewest <= len(arguments) <= most:
            raise NotRead(f"`{function}` takes {fewest if fewest == most else f'{fewest} to {most}'} arguments")
        return Call(function, tuple(arguments))

    def _close(self) -> None:
        if self._sign() != ")":
            raise NotRead("a bracket is not closed")
        self.at += 1

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
        case Call():
            for argument in expression.arguments:
                yield from _names(argument)


def renamed(expression: Expression, new: Callable[[str], str]) -> Expression:
    match expression:
        case Name():
            return Name(new(expression.name))
        case Operation():
            return Operation(expression.sign, renamed(expression.left, new), renamed(expression.right, new))
        case Call():
            return Call(expression.function, tuple(renamed(a, new) for a in expression.arguments))
    return expression


def less(expression: Expression, by: Expression) -> Expression:
    """The difference, without what both have: `n + 5` less `n` is 5."""
    ours, theirs = _linear(expression), _linear(by)
    if ours is None or theirs is None:
        return Operation("-", expression, by)
    left = {name: ours.get(name, Fraction(0)) - theirs.get(name, Fraction(0)) for name in {**ours, **theirs}}
    names_ = [(name, factor) for name, factor in left.items() if name and factor]
    rest = left.get("", Fraction(0))
    if any(factor < 0 for _, factor in names_):
        return Operation("-", expression, by)
    found: Expression | None = None
    for name, factor in names_:
        term = Name(name) if factor == 1 else Operation("*", Number(factor), Name(name))
        found = term if found is None else Operation("+", found, term)
    if found is None:
        return Number(rest)
    return Operation("+" if rest > 0 else "-", found, Number(abs(rest))) if rest else found


def _linear(expression: Expression) -> dict[str, Fraction] | None:
    """Factors of the names, and of none: the number that is added. None for what is no such sum."""
    match expression:
        case Number():
            return {"": expression.value}
        case Name():
            return {expression.name: Fraction(1)}
        case Operation(sign="+" | "-" as sign):
            left, right = _linear(expression.left), _linear(expression.right)
            if left is None or right is None:
                return None
            one = 1 if sign == "+" else -1
            return {n: left.get(n, Fraction(0)) + one * right.get(n, Fraction(0)) for n in {**left, **right}}
        case (
            Operation(sign="*", left=Number() as factor, right=inner)
            | Operation(sign="*", left=inner, right=Number() as factor)
        ):
            found = _linear(inner)
            return found and {name: factor.value * value for name, value in found.items()}
    return None


def value(expression: Expression, known: Mapping[str, Fraction]) -> Fraction:
    """Exactly, except where a value jumps: below `int`, `round`, `//` and `%` in floats, as the tool computed it.

    So `int(0.29 * 100)` is 28.

    Raises:
        KeyError: a name that has no value.
        NotRead: a division by zero, and what is too large.
    """
    match expression:
        case Number():
            return expression.value
        case Name():
            return known[expression.name]
        case Operation(sign="//" | "%") | Call(function="int" | "round"):
            found = _decimal(_floated(expression, known))
        case Operation():
            found = _operation(expression.sign, value(expression.left, known), value(expression.right, known))
        case Call():
            found = _SMOOTH[expression.function](*(value(a, known) for a in expression.arguments))
    if max(found.numerator.bit_length(), found.denominator.bit_length()) > MAX_BITS:
        raise NotRead("the value is too large")
    return found


_SMOOTH: dict[str, Callable[..., Fraction]] = {"abs": abs, "max": max, "min": min, "float": Fraction}


def _operation(sign: str, left: Fraction, right: Fraction) -> Fraction:
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            if right == 0:
                raise NotRead("the formula divides by zero")
            return left / right
    if abs(right) > MAX_POWER:
        raise NotRead("the value is too large")
    if left == 0 and right < 0:
        raise NotRead("the formula divides by zero")
    if left < 0 and right.denominator != 1:
        raise NotRead("a root of a negative number has no value")
    return left ** int(right) if right.denominator == 1 else _decimal(float(left) ** float(right))


def _decimal(number: float) -> Fraction:
    """As Python prints it: 0.3 and not the binary fraction beside it."""
    if not isfinite(number):
        raise NotRead("the value is too large")
    return Fraction(repr(number))


def _floated(expression: Expression, known: Mapping[str, Fraction]) -> float:
    """The value as Python's floats have it."""
    try:
        match expression:
            case Number() | Name() | Operation(sign="**"):
                return float(value(expression, known))
            case Operation():
                left, right = _floated(expression.left, known), _floated(expression.right, known)
                return float(_PYTHON[expression.sign](left, right))
            case Call(function="round", arguments=(number, digits)):
                places = value(digits, known)
                if places.denominator != 1 or abs(places) > MAX_POWER:
                    raise NotRead("`round` needs a whole number of digits")
                return float(round(_floated(number, known), int(places)))
            case Call():
                return float(_JUMPING[expression.function](*(_floated(a, known) for a in expression.arguments)))
    except ZeroDivisionError:
        raise NotRead("the formula divides by zero") from None
    except OverflowError:
        raise NotRead("the value is too large") from None


_PYTHON: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "//": operator.floordiv, "%": operator.mod,
}  # fmt: skip
_JUMPING: dict[str, Callable[..., float]] = {
    "abs": abs, "max": max, "min": min, "float": float, "int": int, "round": round,
}  # fmt: skip
