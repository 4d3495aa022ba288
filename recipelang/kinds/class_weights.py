"""How much each class counts in a loss, by its label: `["spam" -> 3, "ham" -> 1]`, or `balanced`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from recipelang.kinds import from_form
from recipelang.kinds.base import Mismatch, Silent, bounds, wrong
from recipelang.kinds.from_form import Unfit
from recipelang.kinds.plain import Listing
from recipelang.kinds.sizes import arrow
from recipelang.kinds.text import fraction, string
from recipelang.source.suggest import closest
from recipelang.values.composite import Arrow, ClassWeight, Poison, Symbol
from recipelang.values.quantities import Quantity, show_fraction

BALANCED = "balanced"
#: so that no sum of a batch leaves the range of single precision
_MOST = 1_000_000
_WRITTEN = 'write `["spam" -> 3]`, or `balanced`'


class ClassWeights(Listing):
    """`balanced`, or a list of weights, each label once. Their order means nothing."""

    name = "balanced | list<label -> number>"
    symbols = (BALANCED,)
    bare = True
    doc = 'weights by label, `["spam" -> 3, "ham" -> 1]`; a class that is not listed has 1'
    within = f"above 0 and at most {_MOST}"
    json: Mapping[str, object] = {
        "anyOf": [{"const": BALANCED}, {"type": "array", "minItems": 1, "items": arrow({"type": "string"})}]
    }

    def _read(self, value: object) -> object:
        if isinstance(value, Symbol):
            if value.name == BALANCED:
                return BALANCED
            near = closest(value.name, self.symbols)
            hint = f"did you mean `{near}`?" if near else _WRITTEN
            raise Mismatch("E022", f"unknown name `{value.name}`", hint, near, name=value.name, known=self.symbols)
        found = tuple(_weight(item) for item in (value if isinstance(value, tuple) else (value,)))
        self.check(found)
        return tuple(sorted(found, key=lambda w: w.label))

    def check(self, value: object) -> None:
        if isinstance(value, str) and value == BALANCED:
            return
        if not isinstance(value, tuple) or not all(isinstance(w, ClassWeight) for w in value):
            raise wrong(value, "`balanced` or a list of weights", _WRITTEN)
        if not value:
            raise Mismatch("E024", "no class has a weight", _WRITTEN)
        for i, one in enumerate(value):
            if any(other.label == one.label for other in value[:i]):
                raise Mismatch("E026", f"`{one.label[:40]}` is given twice", "keep one of them", subject=one.label)
            if not isinstance(one.weight, Fraction):
                raise wrong(one.weight, "an exact fraction")
            bounds(one.weight, 0, _MOST, True)

    def text(self, value: object) -> str:
        if isinstance(value, str):
            return value
        weights: tuple[ClassWeight, ...] = value  # type: ignore[assignment]
        return "[" + ", ".join(f"{string(w.label)} -> {fraction(w.weight)}" for w in weights) + "]"

    def form(self, value: object) -> object:
        if isinstance(value, str):
            return value
        weights: tuple[ClassWeight, ...] = value  # type: ignore[assignment]
        return [{"->": [w.label, show_fraction(w.weight)]} for w in weights]

    def written(self, form: object) -> str:
        return from_form.word(form) if isinstance(form, str) else from_form.listed(form, _written)


def _written(form: object) -> str:
    match form:
        case {"->": [label, weight], **rest} if not rest:
            return f"{string(from_form.string(label))} -> {from_form.number(weight)}"
    raise Unfit('a weight, such as {"->": ["spam", "3"]}', form)


def _weight(value: object) -> ClassWeight:
    if isinstance(value, Poison):
        raise Silent
    if not isinstance(value, Arrow):
        raise wrong(value, "a weight", _WRITTEN)
    label, weight = _label(value.start), value.end
    if isinstance(weight, bool) or not isinstance(weight, Quantity) or weight.unit is not None:
        raise wrong(weight, "a plain number", _WRITTEN)
    return ClassWeight(label, weight.value)


def _label(value: object) -> str:
    """A label is a text; names and whole numbers need no quotes."""
    match value:
        case Poison():
            raise Silent
        case str():
            return str(value)
        case Symbol():
            return value.name
        case bool():
            return str(value).lower()
        case Quantity() if value.unit is None and not value.percent and value.value.denominator == 1:
            return str(value.value)
    raise wrong(value, "a label", _WRITTEN)
