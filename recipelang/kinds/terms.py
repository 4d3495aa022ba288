"""What distillation compares: `logits`, outputs by name, `hidden(...)`, `attention(...)` and others, or a list of them.

In brackets stand pairs of layers, counted from 0, and a weight: `hidden(1 -> 3, 2 -> 6, weight = 0.1)`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

from recipelang.kinds import from_form
from recipelang.kinds.base import Kind, Mismatch, wrong
from recipelang.kinds.plain import Listing, Number, OneOf
from recipelang.kinds.schedule import ScheduleOf
from recipelang.source import Span
from recipelang.source.suggest import closest
from recipelang.values.composite import Applied, Arrow, Between, LayerPairs, Schedule, Symbol, Term
from recipelang.values.quantities import Quantity

OUTPUTS = ("logits", "start_logits", "end_logits", "embeddings")
#: all outputs again, from the student's side
REVERSE = "reverse_kl"
#: states as `hidden`, a ratio of sums over the whole batch
SQUAREHEAD = "squarehead"
#: what a layer gives
INNER = ("hidden", "attention", SQUAREHEAD)
NAMES = (*OUTPUTS, REVERSE, *INNER)

LOGITS = (Term("logits"),)

_WEIGHT = ScheduleOf(Number(0))
_WRITTEN = "write layers as `3`, `0..5`, or `1 -> 3` from the student's layer to the teacher's"


class Terms(Listing):
    """A list of terms; one stands for a list of one."""

    name = "list<term>"
    symbols = NAMES
    doc = (
        "one output to match or a list: outputs by name, `hidden(1 -> 3, weight = 0.1)`, `attention(0..5)`, "
        "`squarehead`, `reverse_kl`"
    )

    @property
    def json(self) -> Mapping[str, object]:  # type: ignore[override]
        pair = {"type": "array", "items": {"$ref": "#/$defs/int"}, "minItems": 2, "maxItems": 2}
        layers = {"anyOf": [_object({sign: pair}, sign) for sign in ("->", "layers")]}
        inside = _object({"layers": {"type": "array", "items": layers}, "weight": dict(_WEIGHT.json)}, "layers")
        term = {"anyOf": [{"enum": [*NAMES]}, *(_object({name: inside}, name) for name in NAMES)]}
        return {"type": "array", "items": term, "minItems": 1}

    def _read(self, value: object) -> object:
        found = tuple(_term(item) for item in (value if isinstance(value, tuple) else (value,)))
        if not found:
            raise Mismatch("E024", "there is nothing to match", "write `logits`, or remove `on`")
        _not_twice(found)
        return found

    def check(self, value: object) -> None:
        if not isinstance(value, tuple) or not value or not all(isinstance(term, Term) for term in value):
            raise wrong(value, "a list of terms")
        for term in value:
            if term.name not in NAMES:
                raise Mismatch("E022", f"unknown name `{term.name}`")
            if term.layers and term.name not in INNER:
                raise Mismatch("E024", f"`{term.name}` has no layers")
            if term.weight is not None:
                _WEIGHT.check(term.weight)
        _not_twice(value)

    def written(self, form: object) -> str:
        return from_form.listed(form, from_form.term)


def _object(properties: dict[str, object], required: str) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": [required], "additionalProperties": False}


def _not_twice(terms: tuple[Term, ...]) -> None:
    outputs = Counter(term.name for term in terms if term.name in OUTPUTS)
    for name, times in [*outputs.items(), (REVERSE, sum(term.name == REVERSE for term in terms))]:
        if times > 1:
            raise Mismatch("E026", f"`{name}` is given twice", "keep one of them", subject=name)
    if "logits" in outputs and len(outputs) > 1:
        other = next(name for name in outputs if name != "logits")
        message = f"`logits` and `{other}` cannot be combined"
        raise Mismatch("E054", message, "`logits` is every output of the task", subject=other)


def _term(value: object) -> Term:
    if isinstance(value, Symbol):
        return Term(str(OneOf(*NAMES).read(value)))
    if not isinstance(value, Applied):
        raise wrong(value, "an output, `hidden` or `attention`", "write `logits` or `hidden(3, weight = 0.1)`")
    if value.function not in NAMES:
        near = closest(value.function, NAMES)
        known = ", ".join(f"`{n}`" for n in NAMES)
        hint = f"did you mean `{near}`?" if near else f"known here: {known}"
        raise Mismatch("E022", f"unknown name `{value.function}`", hint, near, subject=value.function)
    layers: list[LayerPairs] = []
    weights: list[Schedule | None] = []
    for name, argument, span in value.arguments:
        if name is None:
            layers.append(_layers(value.function, argument, span))
        elif name != "weight":
            message = f"`{value.function}` has no argument `{name}`"
            raise Mismatch("E051", message, "it takes layers and `weight`", subject=name)
        elif weights:
            raise Mismatch("E026", "argument `weight` is given twice", "keep one of them", subject="weight")
        else:
            weights.append(_weight(argument, span))
    return Term(value.function, tuple(layers), weights[0] if weights else None)


def _weight(value: object, span: Span) -> Schedule | None:
    try:
        weight = _WEIGHT.read(value)
    except Mismatch as mismatch:
        mismatch.span = mismatch.span or span
        raise
    assert isinstance(weight, Schedule)
    return None if weight.plain == 1 else weight  # 1 need not be written


def _layers(function: str, value: object, span: Span) -> LayerPairs:
    if function not in INNER:
        help = "only `hidden`, `attention` and `squarehead` have layers"
        raise Mismatch("E024", f"`{function}` has no layers", help, span=span)
    match value:
        case Arrow(start, end):
            first = _layer(start, span)
            return LayerPairs(first, first, _layer(end, span))
        case Between(low, high):
            return LayerPairs(_layer(low, span), _layer(high, span))
    only = _layer(value, span)
    return LayerPairs(only, only)


def _layer(value: object, span: Span) -> int:
    if not isinstance(value, Quantity) or value.unit is not None or value.percent or value.value.denominator != 1:
        mismatch = wrong(value, "the number of a layer", _WRITTEN)
        mismatch.span = span
        raise mismatch
    if not -Fraction(10_000) < value.value < 10_000:
        raise Mismatch("E038", "no model has that many layers", _WRITTEN, span=span)
    return int(value.value)


class Kept(Kind):
    """Whether and how a teacher's outputs are kept."""

    name = "bool or fp32"
    symbols = ("fp32",)
    doc = "`true`, `false` or `fp32`"
    json: Mapping[str, object] = {"anyOf": [{"type": "boolean"}, {"const": "fp32"}]}

    def _read(self, value: object) -> object:
        if isinstance(value, bool):
            return value
        if value == Symbol("fp32"):
            return "fp32"
        raise wrong(value, "`true`, `false` or `fp32`")

    def check(self, value: object) -> None:
        if not isinstance(value, bool) and value != "fp32":
            raise wrong(value, "`true`, `false` or `fp32`")

    def text(self, value: object) -> str:
        return "fp32" if value == "fp32" else super().text(value)

    def written(self, form: object) -> str:
        return from_form.boolean(form) if isinstance(form, bool) else from_form.word(form)
