"""What a record tells of itself, where the plan and the calendar allow only so much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from recipelang.engine.position import Session
from recipelang.planning.types import Plan
from recipelang.source import RecipeError, fail
from recipelang.source.render import line_of
from recipelang.spec.harness import HARNESS_METRICS
from recipelang.spec.metrics import MEASURES

#: clocks of machines differ
_APART = timedelta(days=1)
_ROUNDING = 1e-9


def check_recorded(record: Mapping[str, Any], starts: Sequence[Session], plan: Plan) -> None:
    """E138 for values that no run of this plan writes."""
    check_metrics(record.get("metrics", {}), plan)
    stages = {s.name for s in plan.stages}
    if odd := sorted(record.get("seconds", {}).keys() - stages):
        raise _other(f"`run.json` records seconds for `{line_of(odd[0])[:60]}`, which is not a stage of the plan")
    streams = {s.name for s in plan.stages if s.steps and any(d.label == s.data and d.streamed for d in plan.data)}
    if odd := sorted(record.get("streams", {}).keys() ^ streams):
        raise _other(
            f"`run.json` does not record what stage `{line_of(odd[0])[:60]}` read of its stream, or it has none"
        )
    for i, start in enumerate(starts):
        steps = plan.stages[start.stage].steps if start.stage < len(plan.stages) else 0
        if start.stage > len(plan.stages) or start.step > steps or (i == 0 and (start.stage, start.step) != (0, 0)):
            raise _other(f"start {i + 1} in `run.json` is at a step where this plan can neither start nor resume")
    times = [_time(t) for t in (*(s.started for s in starts), record.get("time"))]
    for earlier, later in zip(times, (*times[1:], datetime.now(UTC)), strict=True):
        if earlier > later + _APART:
            raise _other("the times in `run.json` are out of order")


def check_metrics(metrics: Mapping[str, float], plan: Plan) -> None:
    """A share is one, and what is measured at the end is what the last stage was measured to leave."""
    for name, value in metrics.items():
        metric = {**HARNESS_METRICS, **MEASURES}.get(name.rpartition(".")[2])
        least, most = metric.least if metric else 0.0, 1.0 if metric and metric.ratio else float("inf")
        if not least - _ROUNDING <= value <= most + _ROUNDING:
            raise _other(f"`{line_of(name)[:60]}` in `run.json` is {value:g}, which is impossible")
        last = f"stage.{plan.stages[-1].name}.{name}" if plan.stages else name
        if last in metrics and metrics[last] != value:
            raise _other(f"`{line_of(name)[:60]}` and `{line_of(last)[:80]}` in `run.json` differ, but must be equal")


def _time(text: object) -> datetime:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise _other(f"`{line_of(str(text))[:40]}` in `run.json` is not a time") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _other(message: str) -> RecipeError:
    return fail("E138", message, help="the record was changed after the run")
