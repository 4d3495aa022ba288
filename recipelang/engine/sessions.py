"""The starts of a run: its first and every resume, each with what decided its bits and what was claimed then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recipelang.engine.position import Position, Session, differences
from recipelang.engine.records import read_record
from recipelang.engine.variables import deciding
from recipelang.planning.types import Plan
from recipelang.source import Diagnostics, RecipeError, fail

#: lines of a message; the rest is counted
_SHOWN = 6


def session(plan: Plan, around: Mapping[str, Any], device: str, position: Position) -> Session:
    """The start that happens now. `around`: of `environment`; `device`: `cpu` or `cuda`."""
    return Session(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        stage=position.stage,
        step=position.step,
        environment={**deciding(around, device), "stages": attributes(plan)},
        spec=plan.spec_digest,
        claims=told_claims(plan),
    )


def attributes(plan: Plan) -> dict[str, Any]:
    """What a recipe may change without being another experiment, and what yet changes bits: rounding, dropout."""
    found = {}
    for stage in plan.stages:
        caches = [d.cache for d in stage.distills if d.cache]
        own = {"micro_batch": str(stage.micro_batch), "compile": str(stage.compile).lower()}
        found[stage.name] = own | ({"cache": caches[0]} if caches else {})
    return found


def resumed(before: Session, now: Session, *, exact: bool) -> Diagnostics:
    """W176 and W177 for what is not as it was; E196 in place of W176 when the same bits are asked for."""
    found = Diagnostics()
    if told := differences(before.environment, now.environment):
        notes = [*told[:_SHOWN], *([f"and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else [])]
        if exact:
            way_out = "restore the earlier environment, or resume without `--exact`"
            raise fail("E196", "this run cannot continue bit for bit", notes=notes, help=way_out)
        help = "restore the earlier environment for identical bits; `--exact` refuses any other environment"
        message = "this run continues in a different environment"
        found.say("W176", message, notes=(*notes, "`run.json` records both"), help=help)
    found.extend(reclaimed(before.spec, before.claims, now))
    return found


def reclaimed(spec: str, claims: Sequence[str], now: Session) -> Diagnostics:
    """W177 where a run goes on, or begins again, with another `spec` and other claims than these."""
    found = Diagnostics()
    if spec == now.spec:
        return found
    gone = [f"before: {text}" for text in claims if text not in now.claims]
    new = [f"now: {text}" for text in now.claims if text not in claims]
    told = [*gone, *new] or ["evaluations, exports, or their inputs were edited"]
    message = "the claims of this run have changed since it began"
    if not gone and not new:
        message = "the evaluations or exports of this run have changed since it began"
    help = "if the change is intended, do nothing: `run.json` records both versions"
    found.say("W177", message, notes=tuple(told[: 2 * _SHOWN]), help=help)
    return found


def told_claims(plan: Plan) -> list[str]:
    return [f"{c.kind} {c.text}" for c in plan.claims]


def earlier(out: Path) -> list[Session]:
    """The starts that `run.json` tells of; none where it cannot be read, of which others speak."""
    try:
        return [Session.model_validate(s) for s in read_record(out).get("sessions", [])]
    except RecipeError:
        return []
