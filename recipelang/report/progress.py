"""A run while it goes: one bar a stage."""

from __future__ import annotations

import math
import os
import shlex
import signal
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as Bars,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from recipelang.engine.records import Reporter, Result
from recipelang.planning.types import EvaluatePlan, StagePlan
from recipelang.source.render import clean
from recipelang.source.words import plural
from recipelang.spec.claims import metric_text
from recipelang.spec.metrics import MEASURES

#: without bars, a long evaluation says how far it is every so many seconds
LINE_SECONDS = 30.0


class Progress(Reporter):
    """A bar a stage, in a terminal or a notebook. Without a terminal it prints a line every tenth of a stage instead of a bar."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not (console.is_terminal or console.is_jupyter),
        )
        self.task = TaskID(0)
        self.evaluation: TaskID | None = None
        self.told = 0.0  # when a line last said how far an evaluation is
        self.mean: float | None = None
        self.until = 0
        self.rehearsed = False  # only the first steps of the stage are taken

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.bars.stop()

    def stage_started(self, stage: StagePlan, steps: int, at: int) -> None:
        self.mean, self.until, self.rehearsed = None, steps, 0 < steps < stage.steps
        self.bars.start()
        self.task = self.bars.add_task(clean(stage.name), total=steps, completed=at, now="")
        if self.bars.disable:
            what = "step" if stage.steps else "batch" if stage.shrinks else "layer"
            counted = plural(steps, what) if steps else "only the weights are scored"
            counted += ", one after another" if steps and what == "layer" else ""
            self.console.print(f"{clean(stage.name)}: {counted}" + (f", from step {at:,}" if at else ""))

    def stepped(self, stage: StagePlan, step: int, loss: float, rate: float, sparsity: float) -> None:
        if math.isfinite(loss):  # of a step that fp16 overflowed in, and that changed nothing, it need not be
            self.mean = loss if self.mean is None else 0.95 * self.mean + 0.05 * loss
        mean = math.nan if self.mean is None else self.mean
        now = f"loss {mean:.3f}  lr {rate:.1e}"
        if stage.prunes:
            now += f"  sparsity {sparsity:.1%}"
        self.bars.update(self.task, completed=step, now=now)
        if self.bars.disable and (step % max(1, self.until // 10) == 0 or step == self.until):
            self.console.print(f"  step {step:,}/{self.until:,}  {now}")

    def layer_pruned(self, stage: StagePlan, done: int, of: int) -> None:
        self.bars.update(self.task, total=of, completed=done)
        if self.bars.disable and done and (not stage.shrinks or done == of or done % max(1, of // 10) == 0):
            self.console.print(f"  {'batch' if stage.shrinks else 'layer'} {done:,}/{of:,}")

    def measuring(self, evaluation: EvaluatePlan, done: int, of: int) -> None:
        if self.bars.disable:
            self._measuring_in_lines(evaluation, done, of)
            return
        if self.evaluation is None:
            self.bars.start()
            what = f"  {clean(evaluation.name)}: {', '.join(evaluation.metrics)}"
            writes = any(MEASURES[m].package for m in evaluation.metrics)
            self.evaluation = self.bars.add_task(what, total=of, now="texts written" if writes else "examples")
        self.bars.update(self.evaluation, completed=done)

    def _measuring_in_lines(self, evaluation: EvaluatePlan, done: int, of: int) -> None:
        """Of a long evaluation only."""
        now = time.monotonic()
        if not done:
            self.told = now
        elif now - self.told >= LINE_SECONDS and done < of:
            self.told = now
            self.console.print(f"  {clean(evaluation.name)}: {done:,} of {plural(of, 'example')} evaluated")

    def evaluated(
        self, stage: str | None, name: str, metrics: dict[str, float], step: int | None = None, on: str = ""
    ) -> None:
        if self.evaluation is not None:
            self.bars.remove_task(self.evaluation)
            self.evaluation = None
        shown = "  ".join(f"{m} {metric_text(m, v)}" for m, v in metrics.items())
        when = f"after {clean(stage)}" if stage is not None else "before training"
        if step is not None:
            when = f"after step {step:,} of {clean(stage or '')}"
        of = " of the rehearsal" if self.rehearsed else ""
        self.bars.console.print(f"  {clean(name)} {when}{of}: {shown}" + (f"  (on {on})" if on else ""))

    def stopping(self, number: int, at_once: bool, out: Path) -> None:
        again = "Ctrl-C" if number == signal.SIGINT else "the signal"
        text = f"stopping once the current step, batch or layer is done; {again} again stops at once"
        if at_once:
            resume = f"recipelang resume {shlex.quote(str(out))}"
            text = f"stopped at once; the newest checkpoint is kept. Resume with:\n\n  {resume}"
        os.write(2, f"\n{text}\n".encode())  # past all locks and buffers, which may be held by what was interrupted

    def message(self, text: str) -> None:
        self.bars.console.print(f"  {clean(text)}")

    def ended(self, result: Result) -> None:
        self.stop()
