"""A plot in characters: sparsity and learning rate of all stages on one axis of steps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from rich.text import Text

from recipelang.planning.types import Plan, StagePlan
from recipelang.schedules.stepwise import at
from recipelang.source.words import plural

_BLOCKS = " ▁▂▃▄▅▆▇█"
_RATE = "•"
_FEWEST = 6  # columns of a stage, however short
_SPARSITY_STYLE, _RATE_STYLE = "blue", "bold yellow"


def plot(plan: Plan, width: int, height: int = 8) -> list[Text]:
    """Lines at most `width` wide: sparsity as bars from 0 to 100 %, learning rate as dots from 0 to its peak."""
    columns = _columns(plan.stages, width - 15)
    rates = [
        [at(stage.learning_rate, k) if stage.steps else 0.0 for k in steps]
        for stage, steps in zip(plan.stages, columns, strict=True)
    ]
    sparsities = [_sparsities(plan, stage, steps) for stage, steps in zip(plan.stages, columns, strict=True)]
    peak = max((r for stage in rates for r in stage), default=0.0) or 1.0
    lines = []
    for row in reversed(range(height)):
        left = "100%" if row == height - 1 else "0%" if row == 0 else ""
        line = Text(f"  {left:>5} ┤")
        for stage, sparsity, rate in zip(plan.stages, sparsities, rates, strict=True):
            if stage is not plan.stages[0]:
                line.append("│", "dim")
            for s, r in zip(sparsity, rate, strict=True):
                eighths = min(8, max(0, round((s * height - row) * 8)))
                if min(height - 1, int(r / peak * height)) == row:
                    line.append(_RATE, _RATE_STYLE + (f" on {_SPARSITY_STYLE}" if eighths > 4 else ""))
                else:
                    line.append(_BLOCKS[eighths], _SPARSITY_STYLE)
        right = f"{peak:.0e}".replace("e-0", "e-") if row == height - 1 else "0" if row == 0 else ""
        lines.append(line.append(f"├ {right}"))
    return [*lines, *_below(plan, columns)]


def _columns(stages: Sequence[StagePlan], width: int) -> list[list[int]]:
    """The steps that the columns of each stage stand for; every stage gets some columns, a long one more."""
    width -= len(stages) - 1
    total = sum(s.steps for s in stages)
    short = [s for s in stages if width * s.steps < _FEWEST * total]
    width -= _FEWEST * len(short)
    total -= sum(s.steps for s in short)
    out = []
    for stage in stages:
        n = _FEWEST if stage in short else max(_FEWEST, round(width * stage.steps / total))
        out.append([round(i * max(0, stage.steps - 1) / (n - 1)) for i in range(n)])
    return out


def _below(plan: Plan, columns: list[list[int]]) -> list[Text]:
    """The axis, the stages under it, and the legend."""
    axis = "┴".join("─" * len(steps) for steps in columns)
    names = " ".join(
        (f"{stage.name}: {plural(stage.steps, 'step')}" if stage.steps else f"{stage.name}")[: len(steps)].center(
            len(steps)
        )
        for stage, steps in zip(plan.stages, columns, strict=True)
    )
    legend = Text("         ").append("█", _SPARSITY_STYLE).append(" sparsity of the targets   ")
    legend.append(_RATE, _RATE_STYLE).append(" learning rate")
    return [Text(f"        └{axis}┘"), Text(f"         {names}"), legend]


def _sparsities(plan: Plan, stage: StagePlan, steps: Sequence[int]) -> list[float]:
    """The largest one in force during each step, from earlier stages too; the event at the very end shows on the last."""
    before = max((p.final for s in plan.stages[: stage.index] for p in s.prunes), default=0.0)
    events = sorted((e.step, e.sparsity) for p in stage.prunes for e in p.events)
    at = [step for step, _ in events]
    largest = list(accumulate((s for _, s in events), max, initial=before))
    return [largest[bisect_right(at, step + 1 if step >= stage.steps - 1 else step)] for step in steps]
