"""Sizes of a model's axes after shrinking, `[ffn -> 50%, layers -> 4]`, and what its units are ranked by."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Literal

from recipelang.kinds import from_form
from recipelang.kinds.base import Mismatch, Silent, wrong
from recipelang.kinds.from_form import Unfit
from recipelang.kinds.plain import Listing
from recipelang.kinds.text import percent
from recipelang.source.frozen import frozen
from recipelang.source.suggest import closest
from recipelang.values.composite import Arrow, Poison, Size, Symbol
from recipelang.values.quantities import Quantity, show_fraction

#: what can become smaller -> what is counted
AXES = {
    "ffn": "the width of the feed-forward blocks",
    "heads": "attention heads, of queries where keys and values have fewer",
    "hidden": "the width of the states between the layers",
    "experts": "experts of a mixture, as many in each layer that has some",
    "layers": "layers",
}


@frozen
class Ranking:
    """What units are ranked by; what it looks at decides what a run has to read."""

    name: str
    looks_at: Literal["states", "weights", "gradients"]
    told: str
    of_experts: str


RANKINGS = {
    ranking.name: ranking
    for ranking in (
        Ranking(
            "activation",
            "states",
            "by what they add to the data's states",
            "by router weight times size of output (REAP)",
        ),
        Ranking("magnitude", "weights", "by their weights", "by their weights"),
        Ranking("taylor", "gradients", "by what the loss loses", "by what the loss loses"),
    )
}
#: more than any model has of anything
_MOST = 10_000_000
_WRITTEN = "write `ffn -> 50%` for a share of what the model has, or `ffn -> 1_536` for a count"


def arrow(start: object) -> dict[str, object]:
    """`start -> number` in JSON Schema."""
    pair = {"type": "array", "items": {"anyOf": [start, {"$ref": "#/$defs/number"}]}, "minItems": 2, "maxItems": 2}
    return {"type": "object", "properties": {"->": pair}, "required": ["->"], "additionalProperties": False}


class Sizes(Listing):
    """A list of sizes, each axis once; one stands for a list of one. Their order means nothing."""

    name = "list<size>"
    symbols = tuple(AXES)
    doc = "sizes after shrinking, each a share or a count: `[ffn -> 50%, layers -> 4]`; an axis alone for a budget to size"
    json: Mapping[str, object] = {
        "type": "array",
        "minItems": 1,
        "items": {"anyOf": [arrow({"enum": [*AXES]}), {"enum": [*AXES]}]},
    }

    def _read(self, value: object) -> object:
        found = tuple(_size(item) for item in (value if isinstance(value, tuple) else (value,)))
        self.check(found)
        return tuple(sorted(found, key=lambda size: [*AXES].index(size.axis)))

    def check(self, value: object) -> None:
        if not isinstance(value, tuple) or not all(isinstance(size, Size) for size in value):
            raise wrong(value, "a list of sizes", _WRITTEN)
        if not value:
            raise Mismatch("E024", "nothing would shrink", _WRITTEN)
        for i, size in enumerate(value):
            if size.axis not in AXES:
                raise _unknown(size.axis)
            if any(other.axis == size.axis for other in value[:i]):
                raise Mismatch("E026", f"`{size.axis}` is given twice", "keep one of them", subject=size.axis)
            _within(size)

    def text(self, value: object) -> str:
        sizes: tuple[Size, ...] = value  # type: ignore[assignment]
        return f"[{', '.join(map(_text, sizes))}]"

    def form(self, value: object) -> object:
        sizes: tuple[Size, ...] = value  # type: ignore[assignment]
        return [s.axis if s.to is None else {"->": [s.axis, show_fraction(Fraction(s.to))]} for s in sizes]

    def written(self, form: object) -> str:
        return from_form.listed(form, _written)


def _text(size: Size) -> str:
    if size.to is None:
        return size.axis
    return f"{size.axis} -> {percent(size.to) if isinstance(size.to, Fraction) else size.to}"


def _written(form: object) -> str:
    match form:
        case str():
            return from_form.word(form)
        case {"->": [axis, to], **rest} if not rest:
            return f"{from_form.word(axis)} -> {from_form.number(to)}"
    raise Unfit('a size, such as {"->": ["ffn", "0.5"]}', form)


def _size(value: object) -> Size:
    if isinstance(value, Poison):
        raise Silent
    if isinstance(value, Symbol):  # whether a budget sizes it, the block knows
        if value.name not in AXES:
            raise _unknown(value.name)
        return Size(value.name, None)
    if not isinstance(value, Arrow):
        raise wrong(value, "a size", _WRITTEN)
    if not isinstance(value.start, Symbol):
        raise wrong(value.start, "one of " + ", ".join(f"`{a}`" for a in AXES), _WRITTEN)
    axis, to = value.start.name, value.end
    if axis not in AXES:
        raise _unknown(axis)
    if isinstance(to, bool) or not isinstance(to, Quantity) or to.unit is not None:
        raise wrong(to, "a share or a count", _WRITTEN)
    share = to.percent or 0 < to.value < 1
    if not share and to.value.denominator != 1:
        message = f"expected a share or a whole number, found {show_fraction(to.value)}"
        raise Mismatch("E024", message, _WRITTEN, subject=axis)
    return Size(axis, to.value if share else int(to.value))


def _unknown(axis: str) -> Mismatch:
    near = closest(axis, AXES)
    known = ", ".join(f"`{a}`" for a in AXES)
    hint = f"did you mean `{near}`?" if near else f"known here: {known}"
    return Mismatch("E022", f"unknown axis `{axis}`", hint, near, subject=axis, name=axis, known=tuple(AXES))


def _within(size: Size) -> None:
    """A share that leaves something and takes something, a count that some model could have; or none yet."""
    if size.to is None:
        return
    if isinstance(size.to, Fraction):
        if not 0 < size.to < 1:
            what = "removes nothing" if size.to >= 1 else "leaves nothing"
            message = f"{show_fraction(size.to * 100)}% of `{size.axis}` {what}"
            raise Mismatch("E038", message, "write a share between `0%` and `100%`", subject=size.axis)
        return
    if isinstance(size.to, bool) or not isinstance(size.to, int):
        raise wrong(size.to, "a share or a count", _WRITTEN)
    if not 0 < size.to < _MOST:
        raise Mismatch("E038", f"no model has {size.to} of `{size.axis}`", _WRITTEN, subject=size.axis)
