"""What `plan --measure` runs of a plan: a few steps of every stretch of a stage, of every block its first event, one in
the middle and the last, a few batches of an evaluation, a few layers of a one-shot stage.

A stage is cut into stretches where its steps begin to take more or less time: a parameter is no longer frozen, the model
becomes smaller, scores are no longer observed, a teacher is no longer asked. In the short stage each has steps of its
own, in the same order; what happens at a step happens at the one that stands for it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from recipelang.engine.run_record import examples_of
from recipelang.methods import METHODS
from recipelang.planning.prune_plan import PrunePlan
from recipelang.planning.types import DistillPlan, EvaluatePlan, Plan, Segment, StagePlan
from recipelang.schedules.stepwise import at

#: steps at the beginning that warm up; and those of a stretch without events, of the only one and of one of several
WARM, _ALONE, _SEVERAL = 2, 8, 3
#: batches of an evaluation, and layers of a one-shot stage
_BATCHES, _LAYERS = 4, 3


@dataclass(frozen=True)
class Stretch:
    """Steps `first..end-1` of a short stage, which stand for this many of the whole one."""

    first: int
    end: int
    steps: int


@dataclass(frozen=True)
class Event:
    """Of a block, by its place in the stage, the event of this number, and the step at which it comes early."""

    block: int
    number: int
    step: int


@dataclass(frozen=True)
class Outline:
    """How a stage is made short. `turns`: steps of the whole one at which stretches begin, and where these begin now."""

    stretches: tuple[Stretch, ...]
    events: tuple[Event, ...]
    turns: dict[int, int]

    @property
    def steps(self) -> int:
        return self.stretches[-1].end


def outline(stage: StagePlan) -> Outline:
    turns = sorted({0, *(s for s in _turns(stage) if 0 < s < stage.steps)})
    plain = _ALONE if len(turns) == 1 else _SEVERAL
    events = sorted(_some_events(stage))
    now, stretches, placed = WARM, list[Stretch](), list[Event]()
    for number, (begins, ends) in enumerate(pairwise([*turns, stage.steps + 1])):
        first = now if number else 0
        for _, block, event in (e for e in events if begins <= e[0] < ends):
            placed.append(Event(block, event, now))
            now += 1
        now += plain
        stretches.append(Stretch(first, now, min(ends, stage.steps) - begins))
    return Outline(tuple(stretches), tuple(placed), dict(zip(turns, (s.first for s in stretches), strict=True)))


def _turns(stage: StagePlan) -> Iterable[int]:
    """Steps at which the following ones begin to take another time."""
    yield from (f.until for f in stage.freezes if f.until is not None)
    yield from (s.step for s in stage.shrinks if s.step is not None)
    yield from (p.events[-1].step for p in stage.scheduled if METHODS[p.method].looks_at == "steps")
    for distill in stage.distills:
        asks = [(s.first, bool(s.start or s.end)) for s in distill.hardness]
        yield from (later for (_, was), (later, now) in pairwise(asks) if was != now)


def _some_events(stage: StagePlan) -> Iterable[tuple[int, int, int]]:
    """Their steps, blocks and numbers."""
    for block, prune in enumerate(stage.prunes):
        many = len(prune.events)
        for number in sorted({0, many // 2, many - 1} if many else ()):
            yield prune.events[number].step, block, number


def shortened(plan: Plan) -> Plan:
    steps = max((outline(s).steps for s in plan.stages if s.mode == "train"), default=1)
    evaluations = tuple(e.model_copy(update={"samples": measured(plan, e), "every": {}}) for e in plan.evaluations)
    update = {
        "stages": tuple(_short_stage(stage, steps) for stage in plan.stages),
        "evaluations": evaluations,
        "claims": (),
        "figures": (),
        "export": plan.export.model_copy(update={"card": False}),
        "rehearsal": steps,
    }
    return plan.model_copy(update=update)


def measured(plan: Plan, evaluation: EvaluatePlan) -> int:
    """How many examples of an evaluation are read now."""
    return max(1, min(examples_of(plan, evaluation), _BATCHES * evaluation.batch))


def _short_stage(stage: StagePlan, steps: int) -> StagePlan:
    if stage.mode == "one_shot":
        if stage.calibration is None or not stage.calibration.layers:
            return stage
        return stage.model_copy(update={"prunes": tuple(map(_of_first_layers, stage.prunes))})
    if stage.steps <= steps:
        return stage
    short = outline(stage)
    return stage.model_copy(
        update={
            "prunes": tuple(_early(p, [e for e in short.events if e.block == i]) for i, p in enumerate(stage.prunes)),
            "shrinks": tuple(s.model_copy(update={"step": short.turns[s.step or 0]}) for s in stage.shrinks),
            "freezes": tuple(
                f if f.until is None else f.model_copy(update={"until": short.turns[f.until]}) for f in stage.freezes
            ),
            "distills": tuple(_asked_early(d, short, stage.steps) for d in stage.distills),
            "checkpoint_every": steps - 2,
            "checkpoint_seconds": None,
        }
    )


def _early(prune: PrunePlan, events: Sequence[Event]) -> PrunePlan:
    each = ((e.step, prune.events[e.number]) for e in events)
    return prune.model_copy(update={"events": tuple(type(e)(at, e.sparsity, e.zeros, e.grown) for at, e in each)})


def _asked_early(distill: DistillPlan, short: Outline, steps: int) -> DistillPlan:
    """The teacher is asked in the stretches that stand for those in which it is."""
    firsts = [*short.turns.values(), steps]
    hardness = []
    for whole, (first, end) in zip(short.turns, pairwise(firsts), strict=True):
        segment = next(s for s in distill.hardness if s.first <= whole <= s.last)
        value = at(distill.hardness, whole) or max(segment.start, segment.end)
        hardness.append(Segment(shape="constant", start=value, end=value, first=first, last=end - 1))
    return distill.model_copy(update={"hardness": tuple(hardness)})


def stack_and_layer(name: str) -> tuple[str, int] | None:
    """Where a tensor lies; none: in no layer.

    >>> stack_and_layer("encoder.layer.11.output.dense.weight")
    ('encoder.layer', 11)
    """
    found = re.search(r"^(.*?)\.(\d+)\.", name)
    return (found[1], int(found[2])) if found else None


def _of_first_layers(prune: PrunePlan) -> PrunePlan:
    """Where it goes layer by layer, the same for the first layers only."""
    if METHODS[prune.method].looks_at != "inputs":
        return prune
    chosen = [i for i, t in enumerate(prune.targets) if (at := stack_and_layer(t.name)) and at[1] < _LAYERS]
    if not chosen or any(len(e.zeros) != len(prune.targets) for e in prune.events):
        return prune
    pick = lambda values: tuple(values[i] for i in chosen) if values else ()  # noqa: E731
    events = tuple(type(e)(e.step, e.sparsity, pick(e.zeros), pick(e.grown)) for e in prune.events)
    return prune.model_copy(update={"targets": pick(prune.targets), "events": events})


def walked(prune: PrunePlan) -> int:
    """Layers that are gone through: of every stack those to the last with a target."""
    last: dict[str, int] = {}
    for stack, layer in filter(None, (stack_and_layer(t.name) for t in prune.targets)):
        last[stack] = max(layer, last.get(stack, 0))
    return sum(layer + 1 for layer in last.values())


def stretch_of(short: Outline, step: int) -> Stretch:
    """In which a step of the short stage lies."""
    return short.stretches[bisect_right([s.first for s in short.stretches], step) - 1]
