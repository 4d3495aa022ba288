"""The plan of a migrated recipe beside what the old loader would have done: tensors, times, sparsities, rates.

What is compared is read from the modifiers, not from the new text: a selector, a window or a length that came out
wrong on the way is found here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from recipelang.migrate import expressions as x, names
from recipelang.migrate.arguments import Amount
from recipelang.migrate.form import Distill, Freeze, Part, Prune, Rate, Sparsity, Stage, Window
from recipelang.planning.families import TensorFact
from recipelang.planning.imagined import STEPS, Imagined
from recipelang.planning.prune_plan import PrunePlan
from recipelang.planning.types import StagePlan
from recipelang.schedules.stepwise import at

#: a number of the layer in a tensor's name
_LAYER = re.compile(r"(\blayers?\.)(\d{1,4})(\.)", re.ASCII)
_TINY = 1e-9


@dataclass(frozen=True)
class Difference:
    part: Part | None
    stage: str
    why: str


def differences(
    stages: Sequence[Stage],
    plan: Imagined,
    whole: Sequence[TensorFact],
    known: Mapping[str, Fraction],
    *,
    compat: bool = False,
) -> list[Difference]:
    """`whole`: the model's tensors before layers went; `known`: values of variables, and of what was asked for."""
    found: list[Difference] = []
    for stage, planned in zip(stages, plan.stages, strict=True):
        compared = _Stage(stage, planned, plan, whole, known, compat)
        found += [Difference(part, stage.name, why) for part, why in compared.differences()]
    return found


class _Stage:
    def __init__(
        self,
        stage: Stage,
        plan: StagePlan,
        model: Imagined,
        whole: Sequence[TensorFact],
        known: Mapping[str, Fraction],
        compat: bool,
    ) -> None:
        self.stage, self.plan, self.known, self.compat = stage, plan, known, compat
        self.keep = model.drop.keep if model.drop else None
        self.tensors = tuple(whole)

    def differences(self) -> Iterator[tuple[Part | None, str]]:
        length = self._value(self.stage.length)
        if self.stage.trains and length is not None and length * STEPS != self.plan.steps:
            yield None, f"it would train {self.plan.steps / STEPS:g} epochs instead of {float(length):g}"
        yield from self._prunes()
        yield from self._freezes()
        for rate in self.stage.rates:
            yield from self._rate(rate)
        for distill in self.stage.distills:
            yield from self._distill(distill)
        decay = self._value(self.stage.weight_decay)
        if decay is not None and self.plan.optimizer_args.get("weight_decay") != float(decay):
            yield None, f"its weight decay would not be {float(decay):g}"

    # ---------------------------------------------------------------- tensors
    def _named(self, part: Prune | Freeze) -> frozenset[str]:
        """The tensors that its loader would have chosen, by their names after layers went."""
        tensors = names.matrices(self.tensors) if isinstance(part, Prune) else self.tensors
        chosen = names.Body(tensors).matched(part.targets)
        if self.keep is None:
            return chosen
        new = {old: i for i, old in enumerate(self.keep)}
        layers = {t.name: t.layer for t in tensors}
        left = [n for n in chosen if layers[n] is None or layers[n] in new]
        return frozenset(_LAYER.sub(lambda m: f"{m[1]}{new[int(m[2])]}{m[3]}", n) for n in left)

    def _prunes(self) -> Iterator[tuple[Part | None, str]]:
        by_tensor: dict[str, list[PrunePlan]] = {}
        for planned in self.plan.prunes:
            for target in planned.targets:
                by_tensor.setdefault(target.name, []).append(planned)
        meant: set[str] = set()
        for prune in self.stage.prunes:
            mine = self._named(prune)
            meant |= mine
            if missing := sorted(mine - by_tensor.keys()):
                yield prune, f"`{missing[0]}` would not be pruned ({len(missing)} tensors)"
                continue
            if mine:
                events = [self._expected(prune, p) for p in by_tensor[min(mine)]]
                if all(events):
                    yield prune, str(events[0])
        if extra := sorted(by_tensor.keys() - meant):
            yield next(iter(self.stage.prunes), None), f"`{extra[0]}` would be pruned too ({len(extra)} tensors)"

    def _expected(self, prune: Prune, planned: PrunePlan) -> str | None:
        """Why a block of the plan is not this modifier; none when it is."""
        if planned.method != prune.declared.name:
            return f"its method would be `{planned.method}`"
        if isinstance(prune.sparsity, Sparsity):
            return self._ramp(prune, prune.sparsity, planned) if self.stage.trains and not self.compat else None
        final = self._value(prune.sparsity)
        if final is not None and abs(planned.final - float(final)) > _TINY:
            return f"it would end at {planned.final:.4g} instead of {float(final):.4g}"
        return None

    def _ramp(self, prune: Prune, ramp: Sparsity, planned: PrunePlan) -> str | None:
        """What is in force where the ramp ends and at its middle, and when it begins."""
        first, last, (start, end) = self._value(ramp.first), self._value(ramp.last), self._window(ramp.window)
        if first is None or last is None or start is None or end is None:
            return None
        end = min(end, self.plan.steps)
        sofar = [e for e in planned.events if e.step <= end + 1]
        inside = [e for e in sofar if e.step >= start - 1]
        reached = sofar[-1].sparsity if sofar else 0.0
        if all(abs(reached - float(value)) > _TINY for value in (last, *self._goes_on(prune, end))):
            return f"it would be at {reached:.4g} at epoch {end / STEPS:g} instead of {float(last):.4g}"
        if not inside:  # it stays at what another ramp reached
            return None
        if first > 0 and abs(inside[0].step - start) > 1:
            return f"it would begin at epoch {inside[0].step / STEPS:g} instead of {start / STEPS:g}"
        shape = {"linear": lambda p: p, "cubic": lambda p: 1 - (1 - p) ** 3}.get(ramp.shape)
        middle = inside[len(inside) // 2]
        if shape is not None and first != last and start < middle.step < end:
            meant = float(first) + float(last - first) * shape((middle.step - start) / (end - start))
            if abs(meant - middle.sparsity) > _TINY:
                epoch = middle.step / STEPS
                return f"it would be at {middle.sparsity:.4g} at epoch {epoch:g} instead of {meant:.4g}"
        return None

    def _goes_on(self, prune: Prune, end: int) -> Iterator[Fraction]:
        """With what another ramp of the same tensors begins where this one ends."""
        for other in self.stage.prunes:
            if (
                other is prune
                or not isinstance(other.sparsity, Sparsity)
                or not self._named(other) & self._named(prune)
            ):
                continue
            first, (start, _) = self._value(other.sparsity.first), self._window(other.sparsity.window)
            if first is not None and start == end:
                yield first

    def _freezes(self) -> Iterator[tuple[Part | None, str]]:
        held: dict[str, int] = {}
        for planned in self.plan.freezes:
            until = self.plan.steps if planned.until is None else planned.until
            held |= {name: max(until, held.get(name, 0)) for name in planned.targets}
        meant: set[str] = set()
        for freeze in self.stage.freezes:
            mine = self._named(freeze)
            meant |= mine
            ends = self._window(Window(None, freeze.until))[1]
            steps = 0 if ends is None else min(ends, self.plan.steps)
            wrong = sorted(n for n in mine if held.get(n, -1) < steps)
            if wrong:
                yield freeze, f"`{wrong[0]}` would be trained ({len(wrong)} tensors)"
        if extra := sorted(held.keys() - meant):
            yield next(iter(self.stage.freezes), None), f"`{extra[0]}` would be frozen too ({len(extra)} tensors)"

    # ---------------------------------------------------------------- schedules
    def _rate(self, rate: Rate) -> Iterator[tuple[Part | None, str]]:
        first, last = self._value(rate.first), self._value(rate.last)
        start, end = self._window(rate.window)
        cycle = self._value(rate.rewind)
        if first is None or last is None or start is None or end is None or self.compat:
            return
        end = min(end, self.plan.steps)
        steps = end - start if cycle is None else int(cycle * STEPS)
        if steps < 2:
            return
        a, b = float(first), float(last)
        shape: Callable[[float], float] = lambda p: a + (b - a) * p  # noqa: E731
        if rate.shape == "cosine":
            shape = lambda p: b + (a - b) * (1 + math.cos(math.pi * p)) / 2  # noqa: E731
        slack = abs(a - b) * math.pi / 2 / (steps - 1) + _TINY
        after = min(
            (s for r in self.stage.rates if (s := self._window(r.window)[0]) is not None and s > start), default=end
        )
        for step in {start, start + (end - start) // 4, start + (end - start) // 2}:
            if step >= after:
                continue
            meant = a if rate.shape == "constant" else shape((step - start) % steps / steps)
            if abs(at(self.plan.learning_rate, step) - meant) > slack:
                told = at(self.plan.learning_rate, step)
                yield rate, f"the rate would be {told:.4g} at epoch {step / STEPS:g} instead of {meant:.4g}"
                return

    def _distill(self, distill: Distill) -> Iterator[tuple[Part | None, str]]:
        start, end = self._window(distill.window)
        hardness, temperature = self._value(distill.hardness), self._value(distill.temperature)
        if start is None or end is None or end <= start:
            return
        middle = min((start + end) // 2, self.plan.steps - 1)
        for name, meant in (("hardness", hardness), ("temperature", temperature)):
            told = [at(getattr(d, name), middle) for d in self.plan.distills]
            if meant is not None and not any(abs(t - float(meant)) < _TINY for t in told):
                yield distill, f"its {name} would not be {float(meant):g} at epoch {middle / STEPS:g}"

    # ---------------------------------------------------------------- values
    def _value(self, amount: Amount | None) -> Fraction | None:
        if amount is None or amount.value is not None or amount.formula is None:
            return None if amount is None else amount.value
        try:
            return x.value(amount.formula, self.known)
        except (KeyError, x.NotRead):
            return None

    def _window(self, window: Window) -> tuple[int | None, int | None]:
        """In steps; open ends are those of the stage."""
        start = Fraction(0) if window.start is None else self._value(window.start)
        end = Fraction(self.plan.steps, STEPS) if window.end is None else self._value(window.end)
        return _steps(start), _steps(end)


def _steps(epochs: Fraction | None) -> int | None:
    return None if epochs is None else int(epochs * STEPS)
