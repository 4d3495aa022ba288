"""What a run tells and what it leaves: reports while it goes, measurements, the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from signal import Signals
from typing import Any

from recipelang.planning.types import EvaluatePlan, Plan, StagePlan
from recipelang.source import Diagnostics, RecipeError, fail
from recipelang.spec.claims import Verdict
from recipelang.storage.reading import Unreadable, Why, read_model
from recipelang.values import selector as sel

RECORD = "run.json"
#: the most events that there may be, each with its counts, take about 25 MiB
MAX_PLAN = 32 * 2**20


class Reporter:
    """Whoever is told how a run goes: a bar, a log, a tracker. What is not overridden does nothing.

    The engine itself prints nothing.
    """

    def planned(self, plan: Plan) -> None:
        """What will be done, before anything is loaded or written."""

    def from_elsewhere(self, file: str, manifest: str, yes: bool) -> None:
        """A recipe that was pulled is about to run here for the first time; `manifest` is its digest. E133 keeps it from that."""
        if not yes:
            help = "look at the plan (`recipelang plan`), then run it with `--yes`"
            raise fail("E133", "this recipe from elsewhere was never run here", help=help)

    def locked(self, path: Path) -> None:
        """A lock was written beside the recipe."""

    def stage_started(self, stage: StagePlan, steps: int, at: int) -> None: ...

    def stepped(self, stage: StagePlan, step: int, loss: float, rate: float, sparsity: float) -> None:
        """Of every step, in their order. On a GPU some steps are told of together: reading a loss stops the device."""

    def normed(self, stage: StagePlan, step: int, norm: float) -> None:
        """The norm of a step's gradients before they are clipped, told before `stepped` of the same step; of one that was
        skipped it need not be finite."""

    def layer_pruned(self, stage: StagePlan, done: int, of: int) -> None:
        """In one shot: so many layers are done."""

    def pruned(self, stage: StagePlan, sparsity: float) -> None:
        """In one shot: all is done, and so large a share of the prunable weights is masked."""

    def stage_ended(self, stage: StagePlan, seconds: float) -> None: ...

    def measuring(self, evaluation: EvaluatePlan, done: int, of: int) -> None:
        """So many examples of an evaluation are done: none before it begins."""

    def evaluated(
        self, stage: str | None, name: str, metrics: dict[str, float], step: int | None = None, on: str = ""
    ) -> None:
        """At the end of a stage, or after a step of it; without a stage, of the model that the run starts from.

        `on`: of how much of its data, where that is not all.
        """

    def stopping(self, number: int, at_once: bool, out: Path) -> None:
        """A signal asks to stop; the second one stops at once. Called inside the handler: it may interrupt anything."""

    def message(self, text: str) -> None: ...

    def found(self, findings: Diagnostics) -> None:
        """Warnings, of the plan and of a run that has begun."""

    def ended(self, result: Result) -> None:
        """Everything is written."""


class Several(Reporter):
    """All of these, in their order."""

    def __init__(self, *each: Reporter) -> None:
        self.each = each


def _to_each(name: str) -> Callable[..., None]:
    def told(self: Several, *arguments: Any, **named: Any) -> None:
        for one in self.each:
            getattr(one, name)(*arguments, **named)

    return told


for _name in [name for name in vars(Reporter) if not name.startswith("_")]:
    setattr(Several, _name, _to_each(_name))


@dataclass
class Measurements:
    """What claims may ask for: metrics by path, exact zeros by tensor."""

    metrics: dict[str, float] = field(default_factory=dict)
    zeros: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    selections: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: tensor -> the patterns that its zeros keep to, each with its size: those of the plan, then the usual ones
    patterns: dict[str, tuple[tuple[str, tuple[int, int]], ...]] = field(default_factory=dict)
    #: of size and speed, by their texts, and of what a machine decides how it was measured
    figures: dict[str, float] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)

    def _names(self, selector: sel.Selector) -> tuple[str, ...]:
        return self.selections[sel.text(selector)]

    def sparsity(self, selector: sel.Selector) -> Fraction:
        """Share of exact zeros in the matrices of a selector."""
        names = self._names(selector)
        return Fraction(sum(self.zeros[n] for n in names), max(1, sum(self.sizes[n] for n in names)))

    def pattern(self, selector: sel.Selector) -> tuple[str, tuple[int, int]]:
        """The pattern that all matrices of a selector keep to; `unstructured` when there is none."""
        kept = [self.patterns.get(n, ()) for n in self._names(selector)] or [()]
        common = set.intersection(*map(set, kept))
        return next((p for p in kept[0] if p in common), ("unstructured", (0, 0)))

    def parameters(self, selector: sel.Selector) -> int:
        return sum(self.sizes[n] for n in self._names(selector))


@dataclass(frozen=True)
class Result:
    out: Path
    plan: Plan
    measurements: Measurements
    verdicts: tuple[Verdict, ...]
    seconds: float
    gained: dict[str, int]  # protected tensors that gained zeros: must be empty

    @property
    def failed(self) -> bool:
        return any(v.met is not True for v in self.verdicts if v.claim.kind == "expect")


def read_record(out: Path) -> dict[str, Any]:
    """`run.json` of an output folder; empty when there is none. E137 for one that is none of ours."""
    from recipelang.engine.record_form import RecordForm

    try:
        form = read_model(out / RECORD, RecordForm, inside=out)
    except Unreadable as error:
        if error.why is Why.MISSING:
            return {}
        raise error.coded("E137") from None
    return form.model_dump(exclude_unset=True)


def status_of(out: Path) -> str:
    """`status` of the record; empty without one that can be read, whose reader says what is wrong."""
    try:
        return str(read_record(out).get("status", ""))
    except RecipeError:
        return ""


def read_plan(out: Path, code: str = "E137") -> Plan:
    """`recipe/plan.json` of an output folder. A coded error when it is missing, damaged, or nobody's plan."""
    try:
        return read_model(out / "recipe" / "plan.json", Plan, MAX_PLAN, inside=out)
    except Unreadable as error:
        if error.why is Why.MISSING:
            help = "name the folder of an earlier `recipelang run`, or start again with `run --overwrite`"
            raise fail(code, f"`{out}` holds no run", help=help) from None
        raise error.coded(code, help="start again with `run --overwrite`") from None


class Interrupted(Exception):
    """A signal asked the run to stop; the checkpoint is written."""

    def __init__(self, signal: int, checkpoint: Path) -> None:
        super().__init__(
            f"stopped by {Signals(signal).name}; nothing is lost: the newest checkpoint is in `{checkpoint}`"
        )
        self.signal = signal
        self.checkpoint = checkpoint
        self.folder: Path | None = None  # of the run, once it is known
