"""How a stage trains beside its rates, on the screen of a plan: its loss, and which weights it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recipelang.planning.loss_plan import LossPlan
from recipelang.planning.types import Plan, StagePlan
from recipelang.planning.watch_plan import StopPlan, WatchPlan
from recipelang.source.render import clean
from recipelang.source.words import listed, plural


def rows(plan: Plan, stage: StagePlan) -> Iterator[tuple[str, str]]:
    if stage.loss is not None:
        yield "loss", _loss(stage.loss, plan.model.labels)
    if stage.ema is not None:
        yield (
            "average",
            f"exponential moving average of the weights, decay {stage.ema:g}: evaluated, and left by the stage",
        )
    if stage.best is not None:
        yield "keep best", _best(stage.best, stage.steps)
    if stage.stop is not None:
        yield "stop early", _stop(stage.stop, stage.steps)


def _loss(loss: LossPlan, classes: Sequence[str]) -> str:
    """`labels smoothed by 10%; classes weigh ham 0.6667, spam 2 (balanced: 30, 10 labels)`."""
    parts = [f"labels smoothed by {loss.label_smoothing * 100:g}%"] if loss.label_smoothing else []
    if loss.class_weights:
        each = [f"{clean(name)} {weight:.4g}" for name, weight in zip(classes, loss.class_weights, strict=True)]
        counts = f" (balanced: {listed([f'{n:,}' for n in loss.class_counts], 8, mark='')} labels)"
        parts.append(f"classes weigh {listed(each, 8, mark='')}{counts if loss.class_counts else ''}")
    return "; ".join(parts)


def _best(best: WatchPlan, steps: int) -> str:
    """`highest dev.f1 from step 80 on; measured every 20 steps and at the end, 6 times`."""
    counted = best.counted(steps)
    which = "lowest" if best.falls else "highest"
    when = f"measured every {plural(best.every, 'step')} and at the end, {len(counted) + 1} times"
    return f"{which} {clean(best.path)} from step {counted[0]:,} on; {when}"


def _stop(stop: StopPlan, steps: int) -> str:
    """`after 3 measurements without a higher dev.f1; measured every 20 steps, at step 140 at the earliest`."""
    which = "lower" if stop.falls else "higher"
    by = f" by more than {stop.min_delta:g}" if stop.min_delta else ""
    first = stop.earliest(steps)
    when = "never in this stage" if first is None else f"at step {first:,} at the earliest"
    every = f"measured every {plural(stop.every, 'step')} from step {stop.counted(steps)[0]:,} on"
    return f"after {plural(stop.patience, 'measurement')} without a {which} {clean(stop.path)}{by}; {every}; {when}"
