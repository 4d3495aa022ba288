"""What a smaller model may have at most, or how much faster it must be, from which its sizes follow."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from recipelang.kinds import from_form
from recipelang.kinds.base import Kind, Mismatch, Silent, wrong
from recipelang.kinds.formats import RUNTIMES
from recipelang.kinds.from_form import Unfit
from recipelang.kinds.sizes import arrow
from recipelang.kinds.text import fraction, percent
from recipelang.source.suggest import closest
from recipelang.values.composite import Applied, Arrow, Budget, Poison, Symbol
from recipelang.values.quantities import Quantity, show_fraction

#: what a budget is of -> what is counted
BUDGETS = {
    "parameters": "all parameters of the model, tied ones once",
    "speedup": "how many times faster a forward pass is, by a table of measured latencies",
}
_MOST_TIMES = 1_000
_WRITTEN = "write `parameters -> 60%` for a share of what the model has, `parameters -> 13_000_000` for a count, or `speedup -> 2`"


_IN_RUNTIME = {
    "type": "object",
    "properties": {"speedup": {"enum": [*RUNTIMES]}},
    "required": ["speedup"],
    "additionalProperties": False,
}


class Budgets(Kind):
    name = "budget"
    symbols = tuple(BUDGETS)
    doc = (
        "the most that the smaller model may have, `parameters -> 60%` or a count, or how many times faster it must be, "
        "`speedup -> 2`, `speedup(onnx) -> 2`"
    )
    json: Mapping[str, object] = {"anyOf": [arrow({"enum": [*BUDGETS]}), arrow(_IN_RUNTIME)]}

    def _read(self, value: object) -> object:
        if isinstance(value, Symbol):
            raise Mismatch("E024", f"`{value.name}` has no limit", _WRITTEN, subject=value.name)
        if isinstance(value, tuple) and value and all(isinstance(item, Arrow) for item in value):
            raise Mismatch("E054", "a `shrink` block has one budget", "keep one of them, without brackets")
        if not isinstance(value, Arrow):
            raise wrong(value, "a budget", _WRITTEN)
        if isinstance(value.start, Poison) or isinstance(value.end, Poison):
            raise Silent
        of, runtime = _start(value.start)
        budget = Budget(of, (_times if of == "speedup" else _limit)(value.end), runtime)
        self.check(budget)
        return budget

    def check(self, value: object) -> None:
        if not isinstance(value, Budget):
            raise wrong(value, "a budget", _WRITTEN)
        if value.of not in BUDGETS:
            raise _unknown(value.of)
        if isinstance(value.to, bool) or not isinstance(value.to, Fraction | int):
            raise wrong(value.to, "a share, a count or a factor", _WRITTEN)
        if value.of == "speedup":
            _check_speedup(value)
            return
        if value.runtime:
            raise Mismatch("E024", "`parameters` has no runtime", "write `parameters -> 60%`")
        if value.to <= 0 or (isinstance(value.to, Fraction) and value.to >= 1):
            shown = f"{show_fraction(value.to * 100)}%" if isinstance(value.to, Fraction) else str(value.to)
            what = "leaves nothing" if value.to <= 0 else "removes nothing"
            help = "write a share between `0%` and `100%`, or a count below what the model has"
            raise Mismatch("E038", f"a budget of {shown} {what}", help)

    def text(self, value: object) -> str:
        budget: Budget = value  # type: ignore[assignment]
        if budget.of == "speedup":
            start = f"speedup({budget.runtime})" if budget.runtime else "speedup"
            return f"{start} -> {fraction(Fraction(budget.to))}"
        return f"{budget.of} -> {percent(budget.to) if isinstance(budget.to, Fraction) else budget.to}"

    def form(self, value: object) -> object:
        budget: Budget = value  # type: ignore[assignment]
        start = {budget.of: budget.runtime} if budget.runtime else budget.of
        return {"->": [start, show_fraction(Fraction(budget.to))]}

    def written(self, form: object) -> str:
        match form:
            case {"->": [{"speedup": runtime, **others}, to], **rest} if not rest and not others:
                return f"speedup({from_form.word(runtime)}) -> {from_form.number(to)}"
            case {"->": [of, to], **rest} if not rest:
                return f"{from_form.word(of)} -> {from_form.number(to)}"
        raise Unfit('a budget, such as {"->": ["parameters", "0.6"]}', form)


def _start(value: object) -> tuple[str, str]:
    """What is limited, and the runtime, empty where none is named."""
    if isinstance(value, Symbol):
        if value.name not in BUDGETS:
            raise _unknown(value.name)
        return value.name, ""
    if not isinstance(value, Applied):
        raise wrong(value, "`parameters` or `speedup`", _WRITTEN)
    if value.function != "speedup":
        raise _unknown(value.function)
    match value.arguments:
        case ((None, Symbol(runtime), _),):
            return "speedup", "" if runtime == "torch" else runtime
    known = ", ".join(f"`{r}`" for r in RUNTIMES)
    raise Mismatch("E051", "`speedup` takes the name of one runtime", f"known here: {known}")


def _limit(to: object) -> Fraction | int:
    if isinstance(to, bool) or not isinstance(to, Quantity) or to.unit is not None:
        raise wrong(to, "a share or a count", _WRITTEN)
    share = to.percent or 0 < to.value < 1
    if not share and to.value.denominator != 1:
        raise Mismatch("E024", f"expected a share or a whole number, found {show_fraction(to.value)}", _WRITTEN)
    return to.value if share else int(to.value)


def _times(to: object) -> Fraction:
    if isinstance(to, bool) or not isinstance(to, Quantity) or to.unit not in (None, "x") or to.percent:
        raise wrong(to, "a factor", "write `speedup -> 2` for twice as fast")
    return Fraction(to.value)


def _check_speedup(value: Budget) -> None:
    if value.runtime and value.runtime not in RUNTIMES:
        near, known = closest(value.runtime, RUNTIMES), ", ".join(f"`{r}`" for r in RUNTIMES)
        hint = f"did you mean `{near}`?" if near else f"known here: {known}"
        raise Mismatch("E022", f"unknown runtime `{value.runtime}`", hint, near, subject=value.runtime)
    if not 1 < value.to <= _MOST_TIMES:
        message = f"a speedup of {show_fraction(Fraction(value.to))} is out of bounds"
        raise Mismatch("E038", message, f"write a factor above 1 and at most {_MOST_TIMES:_}: `speedup -> 2`")


def _unknown(of: str) -> Mismatch:
    near, known = closest(of, BUDGETS), ", ".join(f"`{name}`" for name in BUDGETS)
    hint = f"did you mean `{near}`?" if near else f"known here: {known}"
    return Mismatch("E022", f"unknown budget `{of}`", hint, near, subject=of, name=of, known=tuple(BUDGETS))
