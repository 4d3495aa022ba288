"""A plot in characters: sparsity and learning rate of a stage on one axis of steps."""

from __future__ import annotations

from recipelang.plan.types import StagePlan
from recipelang.schedules.stepwise import at

SPARSITY, RATE = "█", "·"


def plot(stage: StagePlan, width: int = 64, height: int = 9) -> list[str]:
    """Lines of text: sparsity from 0 to 100 % as bars, learning rate from 0 to its peak as dots."""
    steps = [round(i * (stage.steps - 1) / max(1, width - 1)) for i in range(width)]
    rates = [at(stage.learning_rate, k) for k in steps]
    peak = max(*rates, 1e-30)
    sparsity = [max((_sparsity(p.events, k) for p in stage.prunes), default=0.0) for k in steps]
    lines = []
    for row in range(height, 0, -1):
        low = (row - 1) / height
        cells = []
        for s, r in zip(sparsity, rates, strict=True):
            here = min(height, int(r / peak * height) + 1) == row
            cells.append(RATE if here else SPARSITY if s > low + 0.5 / height else " ")
        left = "100 %" if row == height else "  0 %" if row == 1 else "     "
        right = f"{peak:.0e}".replace("e-0", "e-") if row == height else "0" if row == 1 else ""
        lines.append(f"{left} ┤{''.join(cells)}├ {right}")
    epochs = f"{stage.epochs:g} epochs"
    lines.append(f"      └{'─' * width}┘")
    lines.append(f"       0{f'{stage.steps:,} steps, {epochs}':>{width - 1}}")
    legend = f"{RATE} learning rate"
    lines.append("       " + (f"{SPARSITY} sparsity   {legend}" if stage.prunes else legend))
    return lines


def _sparsity(events, step: int) -> float:  # type: ignore[no-untyped-def]
    past = [e.sparsity for e in events if e.step <= step]
    return past[-1] if past else 0.0
