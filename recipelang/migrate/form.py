"""What an old recipe does, between its YAML and the new text: in epochs of its stage, as its loader meant it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from recipelang.methods import METHODS
from recipelang.methods.declaration import Method
from recipelang.migrate.arguments import Amount
from recipelang.source import Span


@dataclass(frozen=True)
class Window:
    """Epochs of the stage; none is the stage's own start or end."""

    start: Amount | None = None
    end: Amount | None = None

    @property
    def begins(self) -> Fraction:
        """As an epoch, 0 where that is not known."""
        return Fraction(0) if self.start is None or self.start.value is None else self.start.value

    @property
    def order(self) -> tuple[bool, Fraction]:
        """To sort by: what begins at a time that is not known comes last."""
        return self.start is not None and self.start.value is None, self.begins

    def ends_before(self, other: Window) -> bool:
        """Whether it is known to be over when another one begins."""
        end, start = self.end, other.start
        if end is None or start is None:
            return False
        if end.value is None or start.value is None:
            return end.formula is not None and end.formula == start.formula
        return end.value <= start.value


@dataclass(frozen=True)
class Targets:
    """Names as they were written. `modules`: they name layers and modules, not parameters."""

    names: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    modules: bool = False


@dataclass(frozen=True)
class Part:
    """`source` is the modifier that it comes from."""

    source: str
    span: Span
    comment: str


@dataclass(frozen=True)
class Sparsity:
    """`every` none: at every step."""

    shape: str
    first: Amount
    last: Amount
    window: Window
    every: Amount | None
    power: str | None = None


@dataclass(frozen=True)
class Prune(Part):
    """`method` as it is written in the new recipe; `sparsity` none with `hold`.

    `then`: ramps that follow it. `since`: from when the loader held zeros; none is the start. `lifted`: weights grew
    again after it.
    """

    method: str
    targets: Targets
    pattern: str = "unstructured"
    sparsity: Sparsity | Amount | None = None
    then: tuple[Sparsity, ...] = ()
    since: Amount | None = None
    lifted: bool = False

    @property
    def declared(self) -> Method:
        return METHODS[self.method.partition("(")[0]]

    @property
    def holds(self) -> bool:
        return self.declared.masks == "keeps"


@dataclass(frozen=True)
class Rate(Part):
    """A piece of the learning rate. `rewind`: it begins again after each such time."""

    shape: str
    first: Amount
    last: Amount
    window: Window
    rewind: Amount | None = None


@dataclass(frozen=True)
class Distill(Part):
    on: str
    hardness: Amount
    temperature: Amount
    window: Window


@dataclass(frozen=True)
class Freeze(Part):
    targets: Targets
    until: Amount | None


@dataclass(frozen=True)
class Drop(Part):
    """Layers that the model loses, by the names they had."""

    layers: tuple[str, ...]


@dataclass
class Stage:
    name: str
    mode: str = "train"
    length: Amount | None = None
    prunes: list[Prune] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    distills: list[Distill] = field(default_factory=list)
    freezes: list[Freeze] = field(default_factory=list)
    thaws: list[Freeze] = field(default_factory=list)  # what was said to be trained
    drops: list[Drop] = field(default_factory=list)
    weight_decay: Amount | None = None
    before: Rate | None = None  # the rate that the stages before leave in force

    @property
    def trains(self) -> bool:
        return self.mode == "train"

    @property
    def parts(self) -> list[Part]:
        return [*self.drops, *self.rates, *self.prunes, *self.freezes, *self.distills]
