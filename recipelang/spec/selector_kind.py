"""The kind of attributes that choose tensors."""

from __future__ import annotations

from recipelang.source.suggest import closest
from recipelang.spec import patterns, selector as s
from recipelang.values.composite import Applied
from recipelang.values.kinds import Hinting, Kind, Mismatch, wrong
from recipelang.values.quantities import Quantity

NODES = (s.Role, s.Glob, s.Regex, s.Layers, s.And, s.Or, s.Not, s.Except)


def selector(*, none: bool = False) -> Kind:
    def convert(value: object) -> object:
        if none and value is None:
            return None
        return as_selector(value)

    json: dict[str, object] = {"$ref": "#/$defs/selector"}
    if none:
        json = {"anyOf": [json, {"type": "null"}]}
    doc = "tensors of the model, by role, name, layer or regular expression: `@linear & @encoder`"
    words = ("none",) if none else ()
    return Hinting("selector", convert, doc=doc, json=json, hint=role_hint, sign="@", words=words)


def role_hint(name: str) -> str:
    return f"a role is written `@{name}`; names of tensors stand in quotes"


def as_selector(value: object) -> s.Selector:
    """A selector, a glob in quotes, or `layers(a..b)`; anything else is a `Mismatch`."""
    if isinstance(value, NODES):
        return value
    if isinstance(value, str):
        patterns.glob(value)
        return s.Glob(value)
    if isinstance(value, Applied):
        if value.function != "layers":
            near = closest(value.function, ["layers"])
            help = "did you mean `layers`?" if near else "a selector that is called is `layers(0..5)`"
            message = f"unknown selector `{value.function}(...)`"
            raise Mismatch("E022", message, help, near, span=value.function_span)
        return _layers(value)
    if isinstance(value, tuple):
        raise wrong(value, "a selector", "join its parts by `|`, as in `@query | @key`")
    raise wrong(value, "a selector", "write a role such as `@linear`, a glob in quotes, or `layers(0..5)`")


def _layers(call: Applied) -> s.Selector:
    if len(call.arguments) != 1:
        raise Mismatch("E024", "`layers` takes one argument", "write `layers(3)` or `layers(0..5)`")
    value = call.arguments[0][1]
    low, high = getattr(value, "low", value), getattr(value, "high", value)
    ends = []
    for end in (low, high):
        if not (isinstance(end, Quantity) and end.unit is None and end.value.denominator == 1):
            raise wrong(end, "a layer number", "layers count from 0; -1 is the last")
        ends.append(int(end.value))
    return s.Layers(*ends)
