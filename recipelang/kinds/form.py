"""An evaluated value as JSON data: the leaves of the canonical form. `spec/document` reads them back.

No JSON number occurs: every number is a string, an exact decimal, else `p/q`.
"""

from __future__ import annotations

from fractions import Fraction

from recipelang.values import selector as sel
from recipelang.values.composite import (
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


def value_form(value: object) -> object:
    """
    >>> value_form(Time(epochs=Fraction(30))), value_form(Fraction(1, 3)), value_form(SparsityPattern("N:M", 2, 4))
    ({'n': '30', 'u': 'epoch'}, '1/3', '2:4')
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            return str(value)
        case Fraction():
            return show_fraction(value)
        case Time():
            return _time(value)
        case Quantity():
            return show_fraction(value.value) if value.unit is None else number(value.value, value.unit)
        case Rate():
            return number(value.value, "1/epoch")
        case tuple():
            return [value_form(v) for v in value]
        case Symbol():
            return value.name
        case StageRef():
            return {"stage": value.name}
        case SparsityPattern():
            return {"N:M": f"{value.a}:{value.b}", "block": {"block": [str(value.a), str(value.b)]}}.get(
                value.kind, value.kind
            )
        case Between():
            return {"..": [value_form(value.low), value_form(value.high)]}
        case Tolerance():
            return {"±": [value_form(value.value), value_form(value.tolerance)]}
        case Arrow():
            return {"->": [value_form(value.start), value_form(value.end)]}
        case Chosen():
            return {value.name: {name: value_form(v) for name, v in value.arguments}}
        case Term():
            return value.name if value.plain else {value.name: _term(value)}
        case Schedule():
            plain = value.plain
            return [_segment(s) for s in value.segments] if plain is None else show_fraction(plain)
    assert isinstance(value, sel.NODES)
    return sel.canonical(value)


def number(value: Fraction | int, unit: str) -> dict[str, str]:
    return {"n": show_fraction(Fraction(value)), "u": unit}


def _time(value: Time) -> object:
    """Epochs and steps meet only in the plan, which knows the steps of an epoch: until then, a sum."""
    if value.epochs and value.steps:
        return {"+": [number(value.epochs, "epoch"), number(value.steps, "step")]}
    return number(value.steps, "step") if value.steps else number(value.epochs, "epoch")


def _term(value: Term) -> dict[str, object]:
    weight = {} if value.weight is None else {"weight": value_form(value.weight)}
    return {"layers": [_layers(pairs) for pairs in value.layers], **weight}


def _layers(value: LayerPairs) -> dict[str, object]:
    if value.teacher is not None:
        return {"->": [str(value.first), str(value.teacher)]}
    return {"layers": [str(value.first), str(value.last)]}


def _segment(value: ShapeSegment) -> dict[str, object]:
    form: dict[str, object] = {"shape": value.shape}
    if value.shape != "constant":
        form["from"] = show_fraction(value.start)
    form["to"] = show_fraction(value.end)
    if value.window is not None:
        form |= {"at": _time(value.window[0])} if value.shape == "step" else {"over": [_time(t) for t in value.window]}
    for name in ("every", "rewind", "power"):
        part = getattr(value, name)
        if part is not None:
            form[name] = value_form(part)
    if value.ends is not None:
        form["ends"] = value.ends
    return form
