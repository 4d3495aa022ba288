"""What a smaller model may have at most, from which its sizes follow: `parameters -> 60%`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from recipelang.kinds import from_form
from recipelang.kinds.base import Kind, Mismatch, Silent, wrong
from recipelang.kinds.from_form import Unfit
from recipelang.kinds.text import percent
from recipelang.source.suggest import closest
from recipelang.values.composite import Arrow, Budget, Poison, Symbol
from recipelang.values.quantities import Quantity, show_fraction

#: what a budget is of -> what is counted
BUDGETS = {"parameters": "all parameters of the model, tied ones once"}
_WRITTEN = "write `parameters -> 60%` for a share of what the model has, or `parameters -> 13_000_000` for a count"


class Budgets(Kind):
    name = "budget"
    symbols = tuple(BUDGETS)
    doc = "what the smaller model may have at most, a share of what the model has or a count: `parameters -> 60%`"
    json: Mapping[str, object] = {
        "type": "object",
        "properties": {
            "->": {
                "type": "array",
                "items": {"anyOf": [{"enum": [*BUDGETS]}, {"$ref": "#/$defs/number"}]},
                "minItems": 2,
                "maxItems": 2,
            }
        },
        "required": ["->"],
        "additionalProperties": False,
    }

    def _read(self, value: object) -> object:
        if isinstance(value, Symbol):
            raise Mismatch("E024", f"`{value.name}` has no limit", _WRITTEN, subject=value.name)
        if isinstance(value, tuple) and value and all(isinstance(item, Arrow) for item in value):
            raise Mismatch("E054", "a `shrink` block has one budget", "keep one of them, without brackets")
        if not isinstance(value, Arrow):
            raise wrong(value, "a budget", _WRITTEN)
        if isinstance(value.start, Poison) or isinstance(value.end, Poison):
            raise Silent
        if not isinstance(value.start, Symbol):
            raise wrong(value.start, "`parameters`", _WRITTEN)
        of, to = value.start.name, value.end
        if of not in BUDGETS:
            raise _unknown(of)
        if isinstance(to, bool) or not isinstance(to, Quantity) or to.unit is not None:
            raise wrong(to, "a share or a count", _WRITTEN)
        share = to.percent or 0 < to.value < 1
        if not share and to.value.denominator != 1:
            message = f"expected a share or a whole number, found {show_fraction(to.value)}"
            raise Mismatch("E024", message, _WRITTEN)
        budget = Budget(of, to.value if share else int(to.value))
        self.check(budget)
        return budget

    def check(self, value: object) -> None:
        if not isinstance(value, Budget):
            raise wrong(value, "a budget", _WRITTEN)
        if value.of not in BUDGETS:
            raise _unknown(value.of)
        if isinstance(value.to, bool) or not isinstance(value.to, Fraction | int):
            raise wrong(value.to, "a share or a count", _WRITTEN)
        if value.to <= 0 or (isinstance(value.to, Fraction) and value.to >= 1):
            shown = f"{show_fraction(value.to * 100)}%" if isinstance(value.to, Fraction) else str(value.to)
            what = "leaves nothing" if value.to <= 0 else "removes nothing"
            help = "write a share between `0%` and `100%`, or a count below what the model has"
            raise Mismatch("E038", f"a budget of {shown} {what}", help)

    def text(self, value: object) -> str:
        budget: Budget = value  # type: ignore[assignment]
        return f"{budget.of} -> {percent(budget.to) if isinstance(budget.to, Fraction) else budget.to}"

    def form(self, value: object) -> object:
        budget: Budget = value  # type: ignore[assignment]
        return {"->": [budget.of, show_fraction(Fraction(budget.to))]}

    def written(self, form: object) -> str:
        match form:
            case {"->": [of, to], **rest} if not rest:
                return f"{from_form.word(of)} -> {from_form.number(to)}"
        raise Unfit('a budget, such as {"->": ["parameters", "0.6"]}', form)


def _unknown(of: str) -> Mismatch:
    near, known = closest(of, BUDGETS), ", ".join(f"`{name}`" for name in BUDGETS)
    hint = f"did you mean `{near}`?" if near else f"known here: {known}"
    return Mismatch("E022", f"unknown budget `{of}`", hint, near, subject=of, name=of, known=tuple(BUDGETS))
