"""A run while it goes: one bar a stage."""

from __future__ import annotations

import math
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
from recipelang.planning.types import StagePlan
from recipelang.source.render import clean
from recipelang.source.words import plural
from recipelang.spec.claims import metric_text


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
        self.mean: float | None = None
        self.until = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.bars.stop()

    def stage_started(self, stage: StagePlan, steps: int, at: int) -> None:
        self.mean, self.until = None, steps
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

    def evaluated(
        self, stage: str | None, name: str, metrics: dict[str, float], step: int | None = None, on: str = ""
    ) -> None:
        shown = "  ".join(f"{m} {metric_text(m, v)}" for m, v in metrics.items())
        when = f"after {clean(stage)}" if stage is not None else "before training"
        if step is not None:
            when = f"after step {step:,} of {clean(stage or '')}"
        self.bars.console.print(f"  {clean(name)} {when}: {shown}" + (f"  (on {on})" if on else ""))

    def message(self, text: str) -> None:
        self.bars.console.print(f"  {clean(text)}")

    def ended(self, result: Result) -> None:
        self.stop()
