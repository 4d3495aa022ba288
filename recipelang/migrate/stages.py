"""A document into stages: every modifier read by its dialect, in order, or refused by name."""

from __future__ import annotations

from dataclasses import dataclass

from recipelang.migrate import legacy, lost, newer
from recipelang.migrate.arguments import Amount, Arguments
from recipelang.migrate.clock import carry_on, clocks
from recipelang.migrate.document import LEGACY, Document, Modifier
from recipelang.migrate.form import Stage
from recipelang.source import Diagnostics

#: what happened to a modifier: all of it came along, a part, nothing, or it was without effect
WHOLE, PARTLY, NOTHING, IDLE = "carried", "partly", "lost", "idle"


@dataclass(frozen=True)
class Fate:
    modifier: Modifier
    outcome: str


def stages(document: Document, found: Diagnostics) -> tuple[list[Stage], list[Fate]]:
    """The stages that have something to do, and what became of every modifier."""
    clock = clocks(document, found)
    every: dict[str, Stage] = {}
    for key, at in clock.items():
        every.setdefault(at.name, Stage(at.name, _mode(document, key), at.length))
    fates = []
    for modifier in document.modifiers:
        at = clock[modifier.stage]
        fates.append(Fate(modifier, _read(modifier, every[at.name], document, found, at.since)))
    document.tell(found)
    acting = [s for s in every.values() if s.parts or s.weight_decay is not None or (s.trains and s.length is not None)]
    carry_on(acting, document, found)
    return (acting if any(s.parts or s.weight_decay is not None for s in acting) else []), fates


def _read(modifier: Modifier, stage: Stage, document: Document, found: Diagnostics, since: Amount | None) -> str:
    label = document.label(modifier.span)
    if modifier.name in lost.IDLE:
        document.without_effect(f"`{modifier.name}` is not allowed here", legacy.NO_EFFECT, modifier.span)
        return IDLE
    dialect = legacy if document.dialect == LEGACY else newer
    name = dialect.RENAMED.get(modifier.name, modifier.name)
    reader = dialect.READERS.get(name) or (newer.TAGGED.get(modifier.name) if dialect is legacy else None)
    if reader is None:
        why, instead = lost.reason(modifier.name, tuple(dialect.READERS))
        help = instead
        found.say("E112", f"`{modifier.name}` cannot be migrated: {why}", label, help=help)
        return NOTHING
    errors, parts = len(found.errors), len(stage.parts)
    arguments = Arguments(modifier, document, found, since)
    if name != modifier.name:
        document.without_effect(f"`{modifier.name}` is read as `{name}`", "it was renamed", modifier.span)
    required = dialect.REQUIRED.get(name, ())
    if missing := [key for key in required if not arguments.has(key)]:
        document.refused.append(f"`{modifier.name}` lacks `{missing[0]}`")
        message = f"`{missing[0]}` of `{modifier.name}` is missing"
        notes = ("its loader fails without it, and no value is invented here",)
        found.say("E113", message, label, notes=notes, help=f"write `{missing[0]}: ...` below it")
        return NOTHING
    if (begins := newer.BEGUN_BY.get(name)) and dialect is newer and not arguments.has(begins):
        message = f"`{begins}` of `{modifier.name}` is missing"
        notes = ("its loader never started it: nothing was pruned or kept",)
        help = f"write `{begins}: 0` below itif it should act"
        found.say("E113", message, label, notes=notes, help=help)
        return NOTHING
    reader(arguments, stage)
    arguments.idle(legacy.IDLE, legacy.NO_EFFECT)
    arguments.finish()
    if len(found.errors) == errors:
        return WHOLE
    return PARTLY if len(stage.parts) > parts else NOTHING


def _mode(document: Document, key: str | None) -> str:
    told = document.stages.get(key).run_type if key in document.stages else None  # type: ignore[arg-type, union-attr]
    return "one_shot" if told == "oneshot" else "train"
