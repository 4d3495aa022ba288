"""Numbers of an old recipe as recipe text: variables by their names and units, repeated values as lets."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from fractions import Fraction

from recipelang.kinds.text import fraction, percent, time
from recipelang.migrate import expressions as x
from recipelang.migrate.arguments import Amount, Unit
from recipelang.migrate.document import Document
from recipelang.migrate.form import Prune, Sparsity, Stage, Window
from recipelang.source import Span
from recipelang.syntax.tokens import KEYWORDS
from recipelang.values.quantities import Time

#: names of this language, and of what every migrated recipe asks for
_TAKEN = frozenset({
    "start", "end", "stage", "base", "task", "source", "teacher", "batch", "length", "learning_rate", "seed",
    "hardness", "temperature", "peak", "low", "warm", "cycle", "pruned", *KEYWORDS,
    "after", "last", "nothing",
})  # fmt: skip
TYPES: dict[Unit, str] = {"epochs": "span", "ratio": "ratio", "number": "number"}


def literal(value: Fraction, unit: Unit) -> str:
    match unit:
        case "epochs":
            return time(Time(epochs=value))
        case "ratio":
            return percent(value)
    return fraction(value)


class Amounts:
    """Every number that the stages hold; decides which variables can stay variables."""

    def __init__(self, document: Document, stages: list[Stage]) -> None:
        self.document, self.stages = document, stages
        self.units: dict[str, set[Unit]] = defaultdict(set)
        for amount in _amounts(stages):
            if amount.formula is not None:
                self._learn(amount.formula, amount.unit)
        self.used: dict[str, Unit] = {}  # variables that stand in the text
        self.lets: dict[tuple[str, Fraction], str] = {}
        self.told: dict[str, str] = {}  # let -> its value
        self.computed: dict[Span, str] = {}  # formulas that became plain numbers
        for stage in stages:
            self._repeated(stage)

    def _learn(self, formula: x.Expression, unit: Unit) -> None:
        """The units of names: a formula of spans holds spans, except as factors."""
        match formula:
            case x.Name() if formula.name not in self.units or unit not in self.units[formula.name]:
                self.units[formula.name].add(unit)
                variable = self.document.variables.get(formula.name)
                if variable and variable.formula is not None:
                    self._learn(variable.formula, unit)
            case x.Operation(sign="+" | "-"):
                self._learn(formula.left, unit)
                self._learn(formula.right, unit)
            case x.Operation(sign="*", left=x.Number()):
                self._learn(formula.right, unit)
            case x.Operation(sign="*" | "/", right=x.Number()):
                self._learn(formula.left, unit)

    def text(self, amount: Amount, role: str = "") -> str:
        """`role` says where it stands, for a value that has a name of its own there."""
        if amount.formula is not None:
            used = dict(self.used)
            if (written := self._formula(amount.formula, amount.unit)) is not None:
                return written
            self.used = used
        if amount.value is None:
            raise Unknown(amount)
        if amount.formula is not None:
            self.computed.setdefault(amount.span, literal(amount.value, amount.unit))
        return self._let(role, amount.value) or literal(amount.value, amount.unit)

    def _let(self, role: str, value: Fraction) -> str | None:
        name = self.lets.get((role, value))
        if name is not None:
            self.told.setdefault(name, literal(value, "number" if role in ("peak", "low") else "epochs"))
        return name

    def point(self, amount: Amount | None, length: Amount | None, side: str) -> str:
        """A moment: `start`, `2 epochs`, or counted back from `end` in a stage's second half."""
        if amount is None:
            return side
        if amount.value == 0 and amount.formula is None:
            return "start"
        if length is not None and amount.value is not None and amount.value == length.value:
            return "end"
        if amount.formula is not None or amount.value is None or length is None or length.value is None:
            return self.text(amount, "warm")
        if 2 * amount.value <= length.value or amount.value > length.value:
            return self.text(amount, "warm")
        left = length.value - amount.value
        return f"end - {self._let('cycle', left) or literal(left, 'epochs')}"

    def _formula(self, formula: x.Expression, unit: Unit) -> str | None:
        match formula:
            case x.Number():
                return literal(formula.value, unit)
            case x.Name():
                if self.units[formula.name] != {unit}:
                    return None  # of two kinds at once: a plain number in each place
                value = self.document.known.get(formula.name)
                if unit == "ratio" and value is not None and not 0 <= value <= 1:
                    return None  # `90` of `eval(percent / 100)` is no ratio itself
                self.used[formula.name] = unit
                return self.name(formula.name)
            case x.Operation(sign="+" | "-" as sign):
                left, right = self._formula(formula.left, unit), self._formula(formula.right, unit)
                if left is None or right is None:
                    return None
                sums = isinstance(formula.right, x.Operation) and formula.right.sign in ("+", "-")
                return f"{left} {sign} ({right})" if sums else f"{left} {sign} {right}"
            case x.Operation(sign="*", left=x.Number() as factor):
                inner = self._formula(formula.right, unit)
                return inner and f"{fraction(factor.value)} * {self._bracket(inner, formula.right)}"
            case x.Operation(sign="*" | "/", right=x.Number() as factor):
                inner = self._formula(formula.left, unit)
                return inner and f"{self._bracket(inner, formula.left)} {formula.sign} {fraction(factor.value)}"
        return None

    @staticmethod
    def _bracket(text: str, formula: x.Expression) -> str:
        return f"({text})" if isinstance(formula, x.Operation) else text

    @staticmethod
    def name(name: str) -> str:
        """A variable's name as one of this language."""
        name = re.sub(r"\W", "_", name, flags=re.ASCII)
        return f"original_{name}" if name in _TAKEN or not name.isidentifier() else name

    def definitions(self) -> Iterator[tuple[str, str]]:
        """Variable -> its `param` or `let`, in the order of the file; what the file does not define comes last."""
        written: dict[str, str] = {}
        while todo := [n for n in self.used if n not in written]:
            for name in todo:
                written[name] = self._definition(name, self.used[name])
        order = {name: i for i, name in enumerate(self.document.variables)}
        yield from sorted(written.items(), key=lambda item: order.get(item[0], len(order)))

    def _definition(self, name: str, unit: Unit) -> str:
        variable = self.document.variables.get(name)
        written = None
        if variable is not None and variable.formula is not None and x.names(variable.formula):
            written = self._formula(variable.formula, unit)
            if written is not None:
                return f"let {self.name(name)} = {written}"
        value = self.document.known.get(name)
        default = "" if value is None else f" = {literal(value, unit)}"
        return f"param {self.name(name)}: {TYPES[unit]}{default}"

    def _repeated(self, stage: Stage) -> None:
        """Values that stand more than once in a stage and mean the same there."""
        for role, values in (("peak", [r.first for r in stage.rates]), ("low", [r.last for r in stage.rates])):
            plain = Counter(v.value for v in values if v.formula is None and v.value)
            for value, times in plain.most_common(1):
                if times > 1 and value is not None:
                    self._call(role, value)
        ramps = [p.sparsity for p in stage.prunes if isinstance(p.sparsity, Sparsity)]
        windows = [*(r.window for r in stage.rates), *(r.window for r in ramps)]
        points = Counter(v for window in windows for v in _values(window))
        for ramp in ramps:
            first = ramp.window.start
            if first is not None and first.formula is None and first.value and points[first.value] > 1:
                self._call("warm", first.value)
            rewinds = {r.rewind.value for r in stage.rates if r.rewind and r.rewind.formula is None}
            if ramp.every and ramp.every.value in rewinds and ramp.every.formula is None and ramp.every.value:
                self._call("cycle", ramp.every.value)

    def _call(self, name: str, value: Fraction) -> None:
        """A name for a value; the first value keeps it."""
        if name not in self.lets.values():
            self.lets[name, value] = name


class Unknown(ValueError):
    """A number that needs a variable whose value the file does not tell, of no single kind."""

    def __init__(self, amount: Amount) -> None:
        self.amount = amount
        super().__init__("no value")


def _values(window: Window) -> list[Fraction]:
    ends = (window.start, window.end)
    return [e.value for e in ends if e is not None and e.formula is None and e.value]


def _amounts(found: object) -> Iterator[Amount]:
    """Every amount inside stages, windows and parts."""
    if isinstance(found, Amount):
        yield found
    elif isinstance(found, list | tuple):
        for item in found:
            yield from _amounts(item)
    elif is_dataclass(found) and not isinstance(found, type):
        for field in fields(found):
            yield from _amounts(getattr(found, field.name))


def pruned_alike(a: Prune, b: Prune) -> bool:
    """Two modifiers that one block says: ranked apart anyway, at the same times, to the same share."""
    apart = "scope = global" not in a.method and a.targets.ignored == b.targets.ignored
    same = (a.method, a.pattern, a.targets.modules) == (b.method, b.pattern, b.targets.modules)
    return apart and same and _key(a.sparsity) == _key(b.sparsity)


def _key(sparsity: Sparsity | Amount | None) -> object:
    if not isinstance(sparsity, Sparsity):
        return None if sparsity is None else (sparsity.value, sparsity.formula)
    amounts = (sparsity.first, sparsity.last, sparsity.window.start, sparsity.window.end, sparsity.every)
    return sparsity.shape, tuple(a and (a.value, a.formula) for a in amounts)
