"""How long a plan will take on this device, and how much room on disk: a few steps and events of every stage are run.

`engine/shortened.py` has what is run. Nothing that comes of it is kept.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch

from recipelang.engine.clock import Clock
from recipelang.engine.figures import ROUNDS, models_of, speeds_of, together
from recipelang.engine.interrupt import at_the_last
from recipelang.engine.loop import CHECKPOINT_SECONDS, EPOCH_SECONDS
from recipelang.engine.offload import offloads
from recipelang.engine.records import Reporter
from recipelang.engine.run import execute
from recipelang.engine.run_record import examples_of
from recipelang.engine.shortened import WARM, measured, outline, shortened, stretch_of, walked
from recipelang.engine.start import fill_folder
from recipelang.kinds.formats import others
from recipelang.methods import METHODS
from recipelang.modifiers.modifier import Modifier, State
from recipelang.planning.memory import ITEM, moments
from recipelang.planning.types import Plan, StagePlan

#: in which the speeds of claims are measured
_ROUNDS = 2


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
class Times:
    """Of a stage: when its steps began and ended, and when each layer did, of every walk through the layers."""

    began: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    walks: list[list[float]] = field(default_factory=list)

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
        self.times.append(_now())


def _now() -> float:
    """When the device has done all that it was given."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.monotonic()


def forecast(plan: Plan, told: Callable[[str], None] = lambda text: None) -> Forecast:
    """Run the beginning of everything in a folder that is removed, and count on from there. `told`: what is under way."""
    times = {stage.name: Times() for stage in plan.stages}

    def marked(stage: StagePlan, others: list[Modifier]) -> list[Modifier]:
        mine = times[stage.name]
        return [_Mark(mine.began, first=True), *others, _Mark(mine.ended, first=False)]

    clock = Clock()
    short = shortened(plan)
    with _scratch() as folder:
        out = folder / "run"
        fill_folder(out, short, "", overwrite=False)
        on_disk = bool(offloads(plan, False, shard=False))
        execute(short, out, _Telling(told, times), lambda measured: (), offload=on_disk, marked=marked, clock=clock)
        speeds = _speeds(plan, out)
    return counted_on(plan, short, clock, times, speeds)


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
    def __init__(self, told: Callable[[str], None], times: Mapping[str, Times]) -> None:
        self.told = told
        self.times = times

    def stage_started(self, stage: StagePlan, steps: int, at: int) -> None:
        self.told(f"measuring stage `{stage.name}`")

    def layer_pruned(self, stage: StagePlan, done: int, of: int) -> None:
        walks = self.times[stage.name].walks
        if done == 0:
            walks.append([])
        if walks:
            walks[-1].append(_now())


def counted_on(plan: Plan, short: Plan, clock: Clock, times: Mapping[str, Times], speeds: float = 0.0) -> Forecast:
    """The whole from its beginning. `times`: of every stage; `speeds`: seconds that its claims of speed will take."""
    took, many = clock.seconds, clock.counts
    parts: dict[str, float] = {n: took[n] for n in ("check", "load", "data") if took[n]}
    if took["teacher"]:
        parts["teacher"] = took["teacher"] * _rows(plan) / _rows(short)
    checkpoint = took["checkpoints"] / max(1, many["checkpoints"])
    saved, evaluated = 0.0, dict.fromkeys((e.name for e in plan.evaluations), 0)
    for stage, run in zip(plan.stages, short.stages, strict=True):
        name = f"stage {stage.name}"
        if stage.mode == "one_shot":
            parts[name] = took[name] + _further_layers(stage, run, times[stage.name])
            count = 0
        elif stage.steps <= (short.rehearsal or 0):
            parts[name], count = took[name], 0
        else:
            parts[name] = _training(stage, took[name], times[stage.name].each())
            count = _checkpoints(stage, parts[name])
        parts[name] += took[f"rounds {stage.name}"]
        saved += 1 + count
        for evaluation in plan.evaluations:
            every = evaluation.every.get(stage.name)
            evaluated[evaluation.name] += 1 + ((stage.steps - 1) // every if every else 0)
    for evaluation in plan.evaluations:
        name = f"evaluate {evaluation.name}"
        more = examples_of(plan, evaluation) / measured(plan, evaluation)
        parts[name] = took[name] / max(1, many[name]) * more * (evaluated[evaluation.name] + evaluation.dense)
        for one in (f"{name} in {n}" for n in others(plan.export)):
            if took[one]:
                parts[one] = took[one] * more
    parts["checkpoints"] = checkpoint * saved
    parts["export"] = took["export"] + took["end"]
    parts |= {n: took[n] for n in ("other formats",) if took[n]} | ({"speed": speeds} if speeds else {})
    return Forecast(parts, *_room(plan))


def _rows(plan: Plan) -> int:
    """For which a teacher's outputs are kept."""
    found = 0
    for stage in (s for s in plan.stages if any(d.cache for d in s.distills)):
        items = next(d for d in plan.data if d.label == stage.data).items.get("train", 1)
        found += min(items, plan.until(stage) * stage.batch)
    return max(1, found)


def _further_layers(stage: StagePlan, run: StagePlan, times: Times) -> float:
    """Seconds of the layers that were left out, where a block goes from layer to layer."""
    blocks = [
        pair for pair in zip(stage.prunes, run.prunes, strict=True) if METHODS[pair[0].method].looks_at == "inputs"
    ]
    walks = times.walks[len(times.walks) - len(blocks) :]  # what is shrunk goes before
    return sum(
        (walked(whole) - walked(short)) * statistics.mean(b - a for a, b in pairwise(walk[1:]))  # the first warms up
        for (whole, short), walk in zip(blocks, walks, strict=True)
        if walked(whole) > walked(short)
    )


def _training(stage: StagePlan, took: float, steps: Sequence[float]) -> float:
    """Seconds of all steps with their events."""
    short = outline(stage)
    special = {e.step for e in short.events}
    usual = {
        s: statistics.median(t for i, t in enumerate(steps[: s.end]) if i >= max(s.first, WARM) and i not in special)
        for s in short.stretches
    }
    beside = max(0.0, took - sum(steps)) / max(1, len(steps))  # between two steps: reading losses, fetching rows
    seconds = sum(max(0.0, t - usual[short.stretches[0]]) for t in steps[:WARM])  # once: compiling, caches
    seconds += sum(s.steps * (usual[s] + beside) for s in short.stretches)
    for block, prune in enumerate(stage.prunes):
        more = {
            e.number: max(0.0, steps[e.step] - usual[stretch_of(short, e.step)])
            for e in short.events
            if e.block == block
        }
        seconds += _of_all_events(len(prune.events), [more[n] for n in sorted(more)])
    return seconds


def _of_all_events(many: int, seconds: Sequence[float]) -> float:
    """`seconds`: of the first, of one that is like all others, and of the last, as far as there are so many.

    >>> _of_all_events(10, [1.0, 2.0, 5.0]), _of_all_events(2, [1.0, 2.0]), _of_all_events(0, [])
    (22.0, 3.0, 0)
    """
    return sum(seconds) + (many - 3) * seconds[1] if many > 3 else sum(seconds)


def _checkpoints(stage: StagePlan, seconds: float) -> int:
    """That are written inside a stage of so many seconds."""
    if stage.checkpoint_every is not None:
        return (stage.steps - 1) // stage.checkpoint_every
    if stage.checkpoint_seconds is not None:
        return int(seconds // stage.checkpoint_seconds)
    epochs = (stage.steps - 1) // stage.steps_per_epoch
    return max(min(epochs, int(seconds // EPOCH_SECONDS)), int(seconds // CHECKPOINT_SECONDS))


def _speeds(plan: Plan, out: Path) -> float:
    """Seconds that the speeds of its claims take to measure: a few rounds of it, counted on. Where that fails, none: so
    it will in the run, which goes on."""
    found = 0.0
    for settings, figures in together(plan.figures).items():
        # a stage's model that is kept for a claim alone is not kept now: the result stands for it
        models = [("" if model.startswith("stage.") else model, runtime) for model, runtime in models_of(figures)]
        began = time.monotonic()
        try:
            _, seconds = speeds_of(plan, out, models, settings, _ROUNDS, lambda text: None)
        except Exception:  # as in the run
            continue
        found += time.monotonic() - began + (ROUNDS - _ROUNDS) * sum(map(statistics.mean, seconds))
    return found


def _room(plan: Plan) -> tuple[int, int]:
    """Bytes on disk: the most at once, and those that stay."""
    weights = ITEM[plan.model.dtype] * plan.model.parameters
    masks = sum({t.name: t.size for s in plan.stages for p in s.prunes for t in p.targets}.values())
    teachers = {d.teacher for s in plan.stages for d in s.distills if d.teacher.startswith("stage.")}
    held = max((s.keep + 1) * (weights * (1 + moments(s) * bool(s.steps)) + masks) for s in plan.stages)
    kept = weights * (1 + len(teachers))
    return held + kept, kept
