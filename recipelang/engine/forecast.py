"""How long a plan will take on this device, and how much room on disk: a few steps and events of every stage are run.

The first and the last event of every block come early, evaluations read a few batches, and one-shot stages that go layer
by layer prune two layers. Nothing that comes of it is kept.
"""

from __future__ import annotations

import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from recipelang.engine.clock import Clock
from recipelang.engine.interrupt import at_the_last
from recipelang.engine.loop import CHECKPOINT_SECONDS, EPOCH_SECONDS
from recipelang.engine.offload import offloads
from recipelang.engine.records import Reporter
from recipelang.engine.run import execute
from recipelang.engine.start import fill_folder
from recipelang.modifiers.modifier import Modifier, State
from recipelang.planning.memory import ITEM, moments
from recipelang.planning.prune_plan import PrunePlan
from recipelang.planning.types import EvaluatePlan, Plan, StagePlan

#: steps of a stage that are taken; of these the first ones, which warm up; and the steps of the two events
STEPS, _WARM, _EVENTS = 12, 2, (4, 8)
#: batches of an evaluation, and layers of a one-shot stage
_BATCHES, _LAYERS = 4, 2


@dataclass(frozen=True)
class Forecast:
    """Seconds by part, in the order of a run, and bytes on disk: the most while it runs, and at the end."""

    parts: dict[str, float]
    most: int
    kept: int

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())


@dataclass
class _Times:
    """Of a stage: when its steps began and ended."""

    began: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    def each(self) -> list[float]:
        return [b - a for a, b in zip(self.began, self.ended, strict=False)]


class _Mark(Modifier):
    """Before all others at the start of a step, or after them at its end; a device has then done what it was given."""

    def __init__(self, times: list[float], *, first: bool) -> None:
        self.times = times
        self.first = first

    def on_step_start(self, state: State) -> None:
        if self.first:
            self._note()

    def on_step_end(self, state: State) -> None:
        if not self.first:
            self._note()

    def _note(self) -> None:
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        self.times.append(time.monotonic())


def forecast(plan: Plan, told: Callable[[str], None] = lambda text: None) -> Forecast:
    """Run the beginning of everything in a folder that is removed, and count on from there. `told`: what is under way."""
    times = {stage.name: _Times() for stage in plan.stages}

    def marked(stage: StagePlan, others: list[Modifier]) -> list[Modifier]:
        mine = times[stage.name]
        return [_Mark(mine.began, first=True), *others, _Mark(mine.ended, first=False)]

    clock = Clock()
    short = shortened(plan)
    with _scratch() as folder:
        out = folder / "run"
        fill_folder(out, short, "", overwrite=False)
        on_disk = bool(offloads(plan, False, shard=False))
        execute(short, out, _Telling(told), lambda measured: (), offload=on_disk, marked=marked, clock=clock)
    return counted_on(plan, short, clock, {name: t.each() for name, t in times.items()})


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder that goes, however often somebody asks to stop."""
    folder = Path(tempfile.mkdtemp(prefix="recipelang-"))
    remove = partial(shutil.rmtree, folder, ignore_errors=True)
    try:
        with at_the_last(remove):
            yield folder
    finally:
        try:
            remove()
        except KeyboardInterrupt:
            remove()
            raise


class _Telling(Reporter):
    def __init__(self, told: Callable[[str], None]) -> None:
        self.told = told

    def stage_started(self, stage: StagePlan, steps: int, at: int) -> None:
        self.told(f"measuring stage `{stage.name}`")


def shortened(plan: Plan) -> Plan:
    """What is run of it."""
    stages = tuple(_short_stage(stage) for stage in plan.stages)
    evaluations = tuple(e.model_copy(update={"samples": _measured(plan, e), "every": {}}) for e in plan.evaluations)
    update = {
        "stages": stages,
        "evaluations": evaluations,
        "claims": (),
        "figures": (),
        "export": plan.export.model_copy(update={"card": False}),
        "rehearsal": STEPS,
    }
    return plan.model_copy(update=update)


def _examples(plan: Plan, evaluation: EvaluatePlan) -> int:
    """That an evaluation reads."""
    data = next(d for d in plan.data if d.label == evaluation.data)
    all_of_them = data.items.get(evaluation.split) or data.examples.get(evaluation.split, 1)
    return min(all_of_them, evaluation.samples or all_of_them)


def _measured(plan: Plan, evaluation: EvaluatePlan) -> int:
    return max(1, min(_examples(plan, evaluation), _BATCHES * evaluation.batch))


def _short_stage(stage: StagePlan) -> StagePlan:
    if stage.mode == "one_shot":
        if stage.calibration is None or not stage.calibration.layers:
            return stage
        prunes = tuple(filter(None, (_of_first_layers(p) for p in stage.prunes)))
        return stage.model_copy(update={"prunes": prunes})
    if stage.steps <= STEPS:
        return stage
    return stage.model_copy(
        update={"prunes": tuple(map(_early, stage.prunes)), "checkpoint_every": STEPS - 2, "checkpoint_seconds": None}
    )


def _early(prune: PrunePlan) -> PrunePlan:
    """The first and the last of its events, soon."""
    if not prune.events:
        return prune
    ends = [prune.events[0], *prune.events[1:][-1:]]
    events = tuple(type(e)(at, e.sparsity, e.zeros, e.grown) for at, e in zip(_EVENTS, ends, strict=False))
    return prune.model_copy(update={"events": events})


def _layer(name: str) -> int | None:
    found = re.search(r"\.(\d+)\.", name)
    return int(found[1]) if found else None


def _of_first_layers(prune: PrunePlan) -> PrunePlan | None:
    """Where it goes layer by layer, the same for the first layers only."""
    chosen = [i for i, t in enumerate(prune.targets) if (n := _layer(t.name)) is not None and n < _LAYERS]
    if not chosen or any(len(e.zeros) != len(prune.targets) for e in prune.events):
        return prune
    pick = lambda values: tuple(values[i] for i in chosen) if values else ()  # noqa: E731
    events = tuple(type(e)(e.step, e.sparsity, pick(e.zeros), pick(e.grown)) for e in prune.events)
    return prune.model_copy(update={"targets": pick(prune.targets), "events": events})


def counted_on(plan: Plan, short: Plan, clock: Clock, steps: Mapping[str, Sequence[float]]) -> Forecast:
    """The whole from its beginning. `steps`: of every stage the seconds of each step that was taken."""
    took, many = clock.seconds, clock.counts
    parts: dict[str, float] = {n: took[n] for n in ("load", "data") if took[n]}
    if took["teacher"]:
        parts["teacher"] = took["teacher"] * _rows(plan) / _rows(short)
    checkpoint = took["checkpoints"] / max(1, many["checkpoints"])
    saved, evaluated = 0.0, dict.fromkeys((e.name for e in plan.evaluations), 0)
    for stage, run in zip(plan.stages, short.stages, strict=True):
        name = f"stage {stage.name}"
        if stage.mode == "one_shot":
            parts[name] = took[name] * _share(stage, run)
            count = 0
        else:
            parts[name], count = _training(stage, took[name], steps[stage.name])
            parts[name] += took[f"rounds {stage.name}"]  # all of them: those that come later are done at its end
        saved += 1 + count
        for evaluation in plan.evaluations:
            every = evaluation.every.get(stage.name)
            evaluated[evaluation.name] += 1 + ((stage.steps - 1) // every if every else 0)
    for evaluation in plan.evaluations:
        name = f"evaluate {evaluation.name}"
        once = took[name] / max(1, many[name]) * _examples(plan, evaluation) / _measured(plan, evaluation)
        parts[name] = once * (evaluated[evaluation.name] + evaluation.dense)
    parts["checkpoints"] = checkpoint * saved
    parts["export"] = took["export"] + took["end"]
    return Forecast(parts, *_room(plan))


def _rows(plan: Plan) -> int:
    """For which a teacher's outputs are kept."""
    found = 0
    for stage in (s for s in plan.stages if any(d.cache for d in s.distills)):
        items = next(d for d in plan.data if d.label == stage.data).items.get("train", 1)
        found += min(items, plan.until(stage) * stage.batch)
    return max(1, found)


def _share(stage: StagePlan, run: StagePlan) -> float:
    """How many times the work of the layers that were pruned all of them are."""
    done = {_layer(t.name) for p in run.prunes for t in p.targets}
    every = {_layer(t.name) for p in stage.prunes for t in p.targets}
    return len(every) / max(1, len(done))


def _training(stage: StagePlan, took: float, steps: Sequence[float]) -> tuple[float, int]:
    """Seconds of all steps with their events, and checkpoints inside the stage."""
    if stage.steps <= STEPS:
        return took, 0
    events = {e.step for p in stage.prunes for e in p.events}
    with_one = [s for i, s in enumerate(steps) if i in _EVENTS and events]
    plain = [s for i, s in enumerate(steps) if i >= _WARM and not (i in _EVENTS and events)]
    step = statistics.median(plain)
    event = max(0.0, statistics.mean(with_one) - step) if with_one else 0.0
    beside = max(0.0, took - sum(steps)) / max(1, len(steps))  # between two steps: reading losses, fetching rows
    seconds = stage.steps * (step + beside) + len(events) * event
    if stage.checkpoint_every is not None:
        return seconds, (stage.steps - 1) // stage.checkpoint_every
    if stage.checkpoint_seconds is not None:
        return seconds, int(seconds // stage.checkpoint_seconds)
    epochs = (stage.steps - 1) // stage.steps_per_epoch
    return seconds, max(min(epochs, int(seconds // EPOCH_SECONDS)), int(seconds // CHECKPOINT_SECONDS))


def _room(plan: Plan) -> tuple[int, int]:
    """Bytes on disk: the most at once, and those that stay."""
    weights = ITEM[plan.model.dtype] * plan.model.parameters
    masks = sum({t.name: t.size for s in plan.stages for p in s.prunes for t in p.targets}.values())
    teachers = {d.teacher for s in plan.stages for d in s.distills if d.teacher.startswith("stage.")}
    held = max((s.keep + 1) * (weights * (1 + moments(s) * bool(s.steps)) + masks) for s in plan.stages)
    kept = weights * (1 + len(teachers))
    return held + kept, kept
