"""Kinds that say which weights: selectors of tensors, patterns within one, numbers of layers."""

from __future__ import annotations

from collections.abc import Mapping

from recipelang.kinds import from_form, globs
from recipelang.kinds.base import Kind, Mismatch, Silent, wrong
from recipelang.kinds.plain import Listing
from recipelang.source.suggest import closest
from recipelang.values import selector as s
from recipelang.values.composite import PATTERNS, Applied, Between, Poison, SparsityPattern, Symbol
from recipelang.values.quantities import Quantity

#: no model has more; keeps a range from becoming a long list
_MOST = 10_000
_WRITTEN = "write the layers to keep, counted from 0: `[1, 3, 5, 7, 9, 11]` keeps six of twelve"


class Selector(Kind):
    name = "selector"
    doc = "tensors of the model, by role, name, layer or regular expression: `@linear & @encoder`"
    json: Mapping[str, object] = {"$ref": "#/$defs/selector"}
    sign = "@"

    def _read(self, value: object) -> object:
        return as_selector(value)

    def check(self, value: object) -> None:
        if not isinstance(value, s.NODES):
            raise wrong(value, "a selector")
        roles = [node.name for node in s.inside(value) if isinstance(node, s.Role)]
        if strange := [name for name in roles if name not in s.ROLES]:
            raise Mismatch("E022", f"unknown role `@{strange[0]}`")

    def written(self, form: object) -> str:
        return from_form.selector(form)

    def hint(self, name: str) -> str:
        return role_hint(name)

    def edit(self, value: object, operator: str, change: object) -> object:
        if value is None:
            return change if operator == "+=" else None
        sides = as_selector(value), as_selector(change)
        return s.Or(sides) if operator == "+=" else s.Except(*sides)


def role_hint(name: str) -> str:
    return f"a role is written `@{name}`; write tensor names in quotes"


def as_selector(value: object) -> s.Selector:
    """A selector, a glob in quotes, or `layers(a..b)`; anything else is a `Mismatch`."""
    if isinstance(value, s.NODES):
        return value
    if isinstance(value, str):
        globs.glob(value)
        return s.Glob(value)
    if isinstance(value, Applied):
        if value.function != "layers":
            near = closest(value.function, ["layers"])
            help = "did you mean `layers`?" if near else "the only selector with arguments is `layers(0..5)`"
            message = f"unknown selector `{value.function}(...)`"
            raise Mismatch("E022", message, help, near, span=value.function_span, subject=value.function)
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


class Pattern(Kind):
    name = "pattern"
    symbols = ("unstructured",)
    doc = ", ".join(f"`{form}`" for form in PATTERNS)
    json: Mapping[str, object] = {"$ref": "#/$defs/pattern"}

    def _read(self, value: object) -> object:
        if isinstance(value, Symbol):
            return SparsityPattern("unstructured")
        if isinstance(value, Applied) and value.function == "block":
            if any(isinstance(v, Poison) for _, v, _ in value.arguments):
                raise Silent
            sides = [v.value for _, v, _ in value.arguments if isinstance(v, Quantity) and v.unit is None]
            if len(sides) == len(value.arguments) == 2 and all(s.denominator == 1 and s > 0 for s in sides):
                return SparsityPattern("block", int(sides[0]), int(sides[1]))
            raise Mismatch("E024", "`block` takes two whole numbers", "write `block(4, 1)`")
        if not isinstance(value, SparsityPattern):
            raise wrong(value, "a sparsity pattern", "write `unstructured`, `2:4` or `block(4, 1)`")
        return value

    def check(self, value: object) -> None:
        if not isinstance(value, SparsityPattern):
            raise wrong(value, "a sparsity pattern")
        sides = {"unstructured": value.a == value.b == 0, "N:M": 0 < value.a <= value.b}
        if not sides.get(value.kind, value.kind == "block" and value.a > 0 and value.b > 0):
            raise Mismatch("E024", f"there is no pattern `{value.kind}` of {value.a} and {value.b}")

    def written(self, form: object) -> str:
        return from_form.pattern(form)


class LayerNumbers(Listing):
    """Numbers of layers in rising order; a range stands for the layers in it."""

    name = "list<int>"
    doc = "layer numbers in brackets, counted from 0; ranges are allowed: `[0..2, 9..11]`"
    json: Mapping[str, object] = {"type": "array", "items": {"$ref": "#/$defs/int"}, "minItems": 1}

    def _read(self, value: object) -> object:
        if not isinstance(value, tuple | Between):
            raise wrong(value, "a list of layers", _WRITTEN)
        found: list[int] = []
        for item in value if isinstance(value, tuple) else (value,):
            ends = (item.low, item.high) if isinstance(item, Between) else (item, item)
            first, last = map(_layer, ends)
            if last < first or (found and first <= found[-1]):
                raise _disorder()
            found += range(first, last + 1)
        if not found:
            raise Mismatch("E024", "no layer would remain", _WRITTEN)
        return tuple(found)

    def check(self, value: object) -> None:
        if not isinstance(value, tuple) or not all(isinstance(n, int) and not isinstance(n, bool) for n in value):
            raise wrong(value, "a list of layers")
        if not value:
            raise Mismatch("E024", "no layer would remain")
        if list(value) != sorted({*value}):
            raise _disorder()
        if not 0 <= value[0] <= value[-1] < _MOST:
            raise Mismatch("E038", f"there is no layer {value[0] if value[0] < 0 else value[-1]}")

    def written(self, form: object) -> str:
        return from_form.listed(form, from_form.number)


def _disorder() -> Mismatch:
    return Mismatch(
        "E024", "the layers are out of order", "layers keep their order: list each once, in ascending order"
    )


def _layer(value: object) -> int:
    if not isinstance(value, Quantity) or value.unit is not None or value.percent or value.value.denominator != 1:
        raise wrong(value, "the number of a layer", _WRITTEN)
    if not 0 <= value.value < _MOST:
        raise Mismatch("E038", f"there is no layer {value.value}", "layers count from 0")
    return int(value.value)
