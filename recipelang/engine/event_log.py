"""Curves for TensorBoard, written in the calling thread: a write that fails, fails where it was asked for.

`torch.utils.tensorboard` writes from a thread of its own, whose errors end up
as a traceback on the screen and as a lost curve.
"""

from __future__ import annotations

import math
import os
import time
from itertools import accumulate
from pathlib import Path
from typing import Protocol

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from recipelang.engine.records import Reporter
from recipelang.planning.types import Plan, StagePlan
from recipelang.storage.writing import make_folder, open_to_append, writing

#: steps between points of a curve
_EVERY = 10


class Log(Protocol):
    def add(self, step: int, scalars: dict[str, float]) -> None:
        """Numbers by name, of one step of the run."""


class Curves(Reporter):
    """The log of a plan's run, from what is reported of it: every so many steps, and at every evaluation."""

    def __init__(self, plan: Plan, log: Log) -> None:
        self.log, self.until = log, 0
        self.largest: float | None = None  # norm of the gradients since the last point
        firsts = accumulate((s.steps for s in plan.stages), initial=0)
        self.first = dict(zip((s.name for s in plan.stages), firsts, strict=False))
        self.steps = {s.name: s.steps for s in plan.stages}

    def stage_started(self, stage: StagePlan, steps: int, at: int) -> None:
        self.until, self.largest = steps, None

    def normed(self, stage: StagePlan, step: int, norm: float) -> None:
        if math.isfinite(norm):
            self.largest = norm if self.largest is None else max(norm, self.largest)

    def stepped(self, stage: StagePlan, step: int, loss: float, rate: float, sparsity: float) -> None:
        if step % _EVERY == 0 or step == self.until:
            scalars = {"train/loss": loss, "train/learning_rate": rate, "train/sparsity": sparsity}
            if not math.isfinite(loss):  # of a step that overflowed in fp16 and changed nothing
                del scalars["train/loss"]
            if self.largest is not None:
                scalars["train/largest_gradient_norm"] = self.largest
                self.largest = None
            self.log.add(self.first[stage.name] + step, scalars)

    def pruned(self, stage: StagePlan, sparsity: float) -> None:
        self.log.add(self.first[stage.name], {"train/sparsity": sparsity})

    def evaluated(
        self, stage: str | None, name: str, metrics: dict[str, float], step: int | None = None, on: str = ""
    ) -> None:
        if stage is not None:  # the dense start is before all curves
            at = self.first[stage] + (self.steps[stage] if step is None else step)
            self.log.add(at, {f"{name}/{metric}": value for metric, value in metrics.items()})


class EventLog:
    """Scalars by name and step in one new event file of `folder`. E084 when it cannot be written."""

    def __init__(self, folder: Path, resumed_at: int = 0) -> None:
        """`resumed_at`: what earlier files say from this step on is told again, or was not kept; 0 for a new run."""
        self.path = folder / f"events.out.tfevents.{time.time():.0f}.{os.getpid()}.{time.monotonic_ns()}"
        make_folder(folder, inside=folder.parent)
        self._write(event_pb2.Event(file_version="brain.Event:2"))
        if resumed_at:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(event_pb2.Event(step=resumed_at, session_log=start))

    def add(self, step: int, scalars: dict[str, float]) -> None:
        values = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._write(event_pb2.Event(step=step, summary=summary_pb2.Summary(value=values)))

    def _write(self, event: event_pb2.Event) -> None:
        event.wall_time = time.time()
        with writing(self.path), open_to_append(self.path, inside=self.path.parents[1]) as file:
            RecordWriter(file).write(event.SerializeToString())
