"""What a search may choose from: `50%..90%`, `log(1e-5..1e-3)`, `[adamw, sgd]`, as they stand in a study."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from recipelang.source import Span
from recipelang.syntax import tree as t
from recipelang.values.quantities import show_fraction

#: figures of a number that a search chooses
_FIGURES = 4


class NotARange(Exception):
    """Why a value gives nothing to choose from, and where."""

    def __init__(self, span: Span, message: str, help: str) -> None:
        super().__init__(message)
        self.span, self.message, self.help = span, message, help


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included, in `unit` (`%` and `epochs` are units); or one of `choices`, texts.

    `whole`: both ends are whole numbers, and so is what is chosen, unless it is a percentage.
    """

    name: str
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)
    unit: str = ""
    whole: bool = False
    log: bool = False
    choices: tuple[str, ...] = ()

    @property
    def ends(self) -> tuple[str, ...]:
        """What is checked before a search begins: every choice, or both ends."""
        return self.choices or (_text(self, self.low), _text(self, self.high))


def range_of(name: str, expr: t.Expr, choices: tuple[str, ...]) -> Range:
    """`choices`: the items of a list, as written. `NotARange` for what is neither a list nor a range of numbers."""
    log = isinstance(expr, t.Call) and expr.function.text == "log" and len(expr.arguments) == 1
    inner = expr.arguments[0].value if isinstance(expr, t.Call) and log else expr
    if isinstance(inner, t.ListOf) and not log:
        if len(choices) < 2:
            raise NotARange(expr.span, f"`{name}` has one value to choose from", "write two or more, or leave it out")
        return Range(name, choices=choices)
    if not (isinstance(inner, t.Binary) and inner.operator == ".."):
        help = "write `50%..90%`, `log(1e-5..1e-3)` or a list, `[8, 16, 32]`"
        raise NotARange(expr.span, f"`{name}` is no range", help)
    low, high = _number(inner.left), _number(inner.right)
    if low is None or high is None:
        raise NotARange(inner.span, "the ends of a range are plain numbers", "write `50%..90%` or `1 epoch..4 epochs`")
    units = {u for u in (low[1], high[1]) if u}
    if len({_singular(u) for u in units}) > 1 or (bool(low[1]) != bool(high[1]) and "%" in units):
        raise NotARange(inner.span, "the ends of a range have different units", "write both in the same unit")
    if low[0] >= high[0]:
        raise NotARange(inner.span, "a range begins below its end", f"write the smaller end of `{name}` first")
    if log and low[0] <= 0:
        raise NotARange(inner.span, "a range on a logarithmic scale begins above zero", "raise its lower end")
    unit = next(iter(units), "")
    whole = unit != "%" and low[0].denominator == high[0].denominator == 1
    return Range(name, low[0], high[0], unit, whole, log)


def value_of(it: Range, chosen: float) -> str:
    """A chosen number, or the number of a choice, as the text of a value; of four figures, within the range."""
    if it.choices:
        return it.choices[int(chosen)]
    if it.whole:
        return _text(it, Fraction(int(chosen)))
    return _text(it, min(max(Fraction(f"{chosen:.{_FIGURES}g}"), it.low), it.high))


def _text(it: Range, value: Fraction) -> str:
    shown = show_fraction(value)
    if it.unit == "%":
        return f"{show_fraction(value * 100)}%"
    return f"{shown} {it.unit}" if it.unit else shown


def _number(expr: t.Expr) -> tuple[Fraction, str] | None:
    if isinstance(expr, t.Unary) and expr.operator == "-":
        inner = _number(expr.operand)
        return None if inner is None else (-inner[0], inner[1])
    if not isinstance(expr, t.Number):
        return None
    return expr.value, "%" if expr.percent else expr.unit or ""


def _singular(unit: str) -> str:
    return unit.removesuffix("s")
