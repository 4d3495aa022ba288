"""Values made of others: windows, schedules, patterns, calls, names."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from recipelang.source import Span
from recipelang.source.frozen import frozen
from recipelang.values.quantities import Time


class Written(str):
    """A string that remembers where it was written: a path is relative to its own file, wherever it is used.

    `folder`: of a string from outside the recipe, where it was typed.
    """

    span: Span
    folder: str | None

    def __new__(cls, text: str, span: Span, folder: str | None = None) -> Written:
        written = super().__new__(cls, text)
        written.span = span
        written.folder = folder
        return written


@frozen
class Symbol:
    """A bare name that is neither parameter nor let: an attribute's type must allow it."""

    name: str


@frozen
class StageRef:
    """`stage.NAME`: the model as an earlier stage left it."""

    name: str


@frozen
class SparsityPattern:
    """`unstructured`, `N:M` (keep N of every M along the input) or `block(r, c)`."""

    kind: str
    a: int = 0
    b: int = 0


#: how a pattern is written -> what it means
PATTERNS: dict[str, str] = {
    "unstructured": "any weight may become zero",
    "N:M": "N of every M weights along the input dimension remain: `2:4`",
    "block(r, c)": "blocks of r rows and c columns become zero together: `block(4, 1)`",
}


@frozen
class Arrow:
    """`a -> b`."""

    start: object
    end: object


@frozen
class Between:
    """`a..b`."""

    low: object
    high: object


@frozen
class Tolerance:
    """`value ± tolerance`."""

    value: object
    tolerance: object


@frozen
class Applied:
    """A call whose meaning the attribute's type decides: `magnitude(scope = uniform)`."""

    function: str
    arguments: tuple[tuple[str | None, object, Span], ...]
    function_span: Span

    def __hash__(self) -> int:
        return hash((self.function, self.function_span))


@frozen
class ShapeSegment:
    """One shape of a schedule over a window of a stage; times are exact.

    `window` is none for a plain value. `every` is the time between events. `ends`: of what changes at every step,
    whether it is at `end` `after` its window or at the window's `last` step; none where it does not change so, and
    until the stage decides.
    """

    shape: str
    start: Fraction
    end: Fraction
    window: tuple[Time, Time] | None = None
    every: Time | None = None
    rewind: Time | None = None
    power: Fraction | None = None
    ends: Literal["after", "last"] | None = None


@frozen
class Schedule:
    """A value over time: segments one after another."""

    segments: tuple[ShapeSegment, ...]

    @property
    def plain(self) -> Fraction | None:
        """The value, when the schedule is just one."""
        only = self.segments[0]
        return only.end if len(self.segments) == 1 and only.window is None else None


@frozen
class LayerPairs:
    """`2`, `0..5` or `1 -> 3`: layers of the student, and the teacher's (none: those at the same depth)."""

    first: int
    last: int
    teacher: int | None = None


@frozen
class Term:
    """What distillation compares: an output by its name, or `hidden` or `attention` of some layers; no weight is 1."""

    name: str
    layers: tuple[LayerPairs, ...] = ()
    weight: Schedule | None = None

    @property
    def plain(self) -> bool:
        return not self.layers and self.weight is None


@frozen
class ClassWeight:
    """`"spam" -> 3`: how often an example of a class counts in the loss."""

    label: str
    weight: Fraction


@frozen
class Size:
    """`ffn -> 50%`, `layers -> 4`: what an axis of a model is after shrinking, a share of what it was or a count.

    None of an axis that a budget sizes.
    """

    axis: str
    to: Fraction | int | None


@frozen
class Budget:
    """`parameters -> 60%`: what a smaller model may have at most, a share of what the model has or a count.

    `speedup -> 2`, `speedup(onnx) -> 2`: how many times faster it must be, in a runtime.
    """

    of: str
    to: Fraction | int
    runtime: str = ""


@frozen
class Chosen:
    """A registered method or optimizer with every argument it has, defaults included."""

    name: str
    arguments: tuple[tuple[str, object], ...]

    def get(self, name: str) -> object:
        return dict(self.arguments).get(name)


class Poison:
    """The value of what could not be evaluated: silent in all that follows."""

    def __repr__(self) -> str:
        return "POISON"


POISON = Poison()
