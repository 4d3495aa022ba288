"""Values and expressions as recipe text. What is printed reads back as the same value."""

from __future__ import annotations

import re
from fractions import Fraction

from recipelang.values import selector as sel
from recipelang.values.composite import (
    Applied,
    Arrow,
    Between,
    Chosen,
    LayerPairs,
    Schedule,
    ShapeSegment,
    SparsityPattern,
    StageRef,
    Symbol,
    Term,
    Tolerance,
)
from recipelang.values.quantities import Quantity, Rate, Time, show_fraction

#: how tightly operators bind, from loose to tight
LEVELS = {"or": 1, "and": 2, "not": 3, "±": 5, "->": 6, "..": 7, "except": 8, "|": 9, "&": 10}
LEVELS |= dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 4)
LEVELS |= {"+": 11, "-": 11, "*": 12, "/": 12, "per": 14}

#: what one literal of the grammar holds
_DIGITS, _EXPONENT = 40, 60


def fraction(value: Fraction) -> str:
    """
    >>> fraction(Fraction(9, 10)), fraction(Fraction(1, 3)), fraction(Fraction(10**41 + 1))
    ('0.9', '(1/3)', '(10 * 1e40 + 1)')
    """
    text = show_fraction(value)
    if _is_literal(text):
        return text
    sides = [_integer(n) for n in (value.numerator, value.denominator)]
    return f"({sides[0]}/{sides[1]})" if value.denominator != 1 else sides[0]


def _is_literal(text: str) -> bool:
    mantissa, _, exponent = text.partition("e-")
    digits = sum(c.isdigit() for c in mantissa)
    return "/" not in text and digits <= _DIGITS and int(exponent or 0) <= _EXPONENT


def _integer(value: int) -> str:
    """A whole number; of one that is longer than a literal, two parts."""
    if abs(value) < 10**_DIGITS:
        return str(value)
    high, low = divmod(abs(value), 10**_DIGITS)
    text = f"({high} * 1e{_DIGITS} + {low})"
    return f"(-{text})" if value < 0 else text


def percent(value: Fraction) -> str:
    """A ratio as `90%`.

    >>> percent(Fraction(9, 10)), percent(Fraction(1, 3))
    ('90%', '(1/3)')
    """
    text = show_fraction(value * 100)
    return f"{text}%" if _is_literal(text) and "e" not in text else fraction(value)


def time(value: Time) -> str:
    parts = []
    if value.epochs or not value.steps:
        parts.append(f"{fraction(value.epochs)} epoch{'' if value.epochs == 1 else 's'}")
    if value.steps:
        parts.append(f"{fraction(value.steps)} step{'' if value.steps == 1 else 's'}")
    parts = [re.sub(r"^\((\S+)\) (\w+)$", r"\1 * 1 \2", p) for p in parts]
    return " + ".join(parts)


def string(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    escaped = escaped.replace("${", "\\${")
    escaped = re.sub(
        r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]",
        lambda m: f"\\u{{{ord(m.group()):x}}}",
        escaped,
    )
    return f'"{escaped}"'


def quantity(value: Quantity) -> str:
    if value.unit is None:
        return percent(value.value) if value.percent else fraction(value.value)
    unit = {"byte": "B", "second": "s", "x": "x"}.get(value.unit, value.unit if value.value == 1 else value.unit + "s")
    number = fraction(value.value)
    return f"({number} * 1 {unit})" if "/" in number else f"{number} {unit}"


def schedule(value: Schedule, of_ratio: bool) -> str:
    segments = [_segment(s, of_ratio) for s in value.segments]
    return segments[0] if len(segments) == 1 else "[\n" + "".join(f"  {s},\n" for s in segments) + "]"


def _segment(value: ShapeSegment, of_ratio: bool) -> str:
    number = percent if of_ratio else fraction
    if value.window is None:
        return number(value.end)
    change = number(value.end) if value.shape == "constant" else f"{number(value.start)} -> {number(value.end)}"
    first, last = value.window
    if value.shape == "step":
        arguments = [change, f"at = {time(first)}"]
    else:
        arguments = [change, f"over = {time(first)} .. {time(last)}"]
    if value.power is not None:
        arguments.append(f"power = {fraction(value.power)}")
    for name, span in (("every", value.every), ("rewind", value.rewind)):
        if span is not None:
            arguments.append(f"{name} = {time(span)}")
    if value.ends is not None:
        arguments.append(f"ends = {value.ends}")
    return f"{value.shape}({', '.join(arguments)})"


def chosen(value: Chosen) -> str:
    arguments = ", ".join(f"{name} = {v if isinstance(v, str) else show(v)}" for name, v in value.arguments)
    return f"{value.name}({arguments})"


def term(value: Term) -> str:
    """
    >>> term(Term("hidden", (LayerPairs(1, 1, 3), LayerPairs(2, 4)))), term(Term("logits"))
    ('hidden(1 -> 3, 2..4)', 'logits')
    """
    arguments = [_layers(pairs) for pairs in value.layers]
    if value.weight is not None:
        arguments.append(f"weight = {schedule(value.weight, of_ratio=False)}")
    return f"{value.name}({', '.join(arguments)})" if arguments else value.name


def _layers(value: LayerPairs) -> str:
    if value.teacher is not None:
        return f"{value.first} -> {value.teacher}"
    return str(value.first) if value.first == value.last else f"{value.first}..{value.last}"


def show(value: object) -> str:
    """Any evaluated value as recipe text."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case int():
            return str(value)
        case Fraction():
            return fraction(value)
        case str():
            return string(value)
        case Quantity():
            return quantity(value)
        case Time():
            return time(value)
        case Rate():
            return f"{fraction(value.value)} per epoch"
        case Symbol():
            return value.name
        case StageRef():
            return f"stage.{value.name}"
        case tuple():
            return "[" + ", ".join(show(v) for v in value) + "]"
        case SparsityPattern():
            return {"N:M": f"{value.a}:{value.b}", "block": f"block({value.a}, {value.b})"}.get(value.kind, value.kind)
        case Chosen():
            return chosen(value)
        case Term():
            return term(value)
        case Arrow():
            return f"{show(value.start)} -> {show(value.end)}"
        case Between():
            return f"{show(value.low)}..{show(value.high)}"
        case Tolerance():
            return f"{show(value.value)} ± {show(value.tolerance)}"
        case Applied():
            arguments = (f"{n} = {show(v)}" if n else show(v) for n, v, _ in value.arguments)
            return f"{value.function}({', '.join(arguments)})"
    if isinstance(value, sel.NODES):
        return sel.text(value)
    raise TypeError(f"no recipe text for {type(value).__name__}")
