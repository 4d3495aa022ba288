"""Values with units: stretches of a run, counts, sizes, rates."""

from __future__ import annotations

from collections.abc import Mapping

from recipelang.kinds import from_form
from recipelang.kinds.base import Kind, bounds, check_whole, whole, wrong
from recipelang.kinds.form import number
from recipelang.values.quantities import Quantity, Rate, Time, show_fraction


class Stretch(Kind):
    """A length in a run; `unit` (`epochs` or `steps`) allows only that one."""

    json: Mapping[str, object] = {"$ref": "#/$defs/span"}

    def __init__(self, unit: str = "") -> None:
        self.unit, self.name = unit, unit or "span"
        self.doc = "a duration: `2 epochs`, `100 steps`, or a sum of both"
        if unit:
            self.doc = f"a duration in {unit} only: `2 {unit}`"

    def check(self, value: object) -> None:
        unit = self.unit
        wanted = f"a number of {unit}" if unit else "a number of epochs or steps"
        if not isinstance(value, Time):
            hint = "write `2 epochs` or `100 steps`"
            if isinstance(value, Quantity) and value.unit is None and not value.percent:
                n = show_fraction(value.value)
                hint = f"write `{n} {unit}`" if unit else f"write `{n} epochs` or `{n} steps`"
            raise wrong(value, wanted, hint)
        if (unit == "epochs" and value.steps) or (unit == "steps" and value.epochs):
            raise wrong(value, wanted, f"write it in {unit}, as in `2 {unit}`")

    def written(self, form: object) -> str:
        return from_form.measure(form)


class Cadence(Stretch):
    """How often something is done: every so many epochs or steps, or by the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "span or time"
        self.doc = "a duration of a run: `2 epochs`, `100 steps`; or of the clock: `10 min`, `30 s`, `2 h`"

    def check(self, value: object) -> None:
        if isinstance(value, Quantity) and value.unit == "second":
            bounds(value.value, 0, None, True)
        elif isinstance(value, Time) or (isinstance(value, Quantity) and value.unit is None and not value.percent):
            super().check(value)
        else:
            raise wrong(value, "a number of epochs, steps or minutes", "write `2 epochs`, `100 steps` or `10 min`")


class Count(Kind):
    """A whole number of `unit`, at least `least`; a plain whole number is taken as one."""

    def __init__(self, unit: str, least: int = 0) -> None:
        self.unit, self.least = unit, least
        self.name, self.within = f"{unit}s", f"at least {least}"
        self.doc = f"a whole number of {unit}s: `128 {unit}s`, or `128` alone"
        self.json = {"$ref": f"#/$defs/{unit}s"}

    def _read(self, value: object) -> object:
        number = isinstance(value, Quantity) and not isinstance(value, bool)
        if not number or value.unit not in (None, self.unit) or value.percent:  # type: ignore[attr-defined]
            raise wrong(value, f"a number of {self.unit}s", f"write `128 {self.unit}s`")
        return whole(value.value, f"{self.unit}s", self.least)  # type: ignore[attr-defined]

    def check(self, value: object) -> None:
        check_whole(value, f"a number of {self.unit}s", self.least)

    def text(self, value: object) -> str:
        return f"{value} {self.name}"

    def form(self, value: object) -> object:
        return number(value, self.unit)  # type: ignore[arg-type]

    def written(self, form: object) -> str:
        return from_form.measure(form)


class Size(Kind):
    """A size in whole bytes."""

    name = "bytes"
    doc = "a size in whole bytes: `5 GB`, `512 MiB`"
    within = "at least 1 B"
    json: Mapping[str, object] = {"$ref": "#/$defs/bytes"}

    def _read(self, value: object) -> object:
        if not isinstance(value, Quantity) or value.unit != "byte":
            raise wrong(value, "a size in bytes", "write it as `5 GB` or `512 MiB`")
        return whole(value.value, "bytes", 1)

    def check(self, value: object) -> None:
        check_whole(value, "a size in bytes", 1)

    def text(self, value: object) -> str:
        """
        >>> Size().text(5_000_000_000), Size().text(1024)
        ('5 GB', '1024 B')
        """
        assert isinstance(value, int)
        factor, unit = next((f, u) for f, u in ((10**9, "GB"), (10**6, "MB"), (1, "B")) if value % f == 0)
        return f"{value // factor} {unit}"

    def form(self, value: object) -> object:
        return number(value, "byte")  # type: ignore[arg-type]

    def written(self, form: object) -> str:
        return f"{from_form.whole(form)} B" if isinstance(form, str) else from_form.measure(form)


class PerEpoch(Kind):
    """How many in an epoch."""

    name = "rate"
    doc = "a number per epoch: `10 per epoch`"

    def check(self, value: object) -> None:
        if not isinstance(value, Rate):
            raise wrong(value, "a rate", "write `10 per epoch`")

    def written(self, form: object) -> str:
        return from_form.measure(form)
