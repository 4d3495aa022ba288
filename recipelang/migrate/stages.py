"""A document into stages: every modifier read by its dialect, in order, or refused by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from recipelang.migrate import legacy, lost, newer
from recipelang.migrate.arguments import Amount, Arguments
from recipelang.migrate.document import LEGACY, Document, Modifier
from recipelang.migrate.form import Stage
from recipelang.source import Diagnostic, Diagnostics
from recipelang.syntax.tokens import KEYWORDS

#: what happened to a modifier: all of it came along, a part, nothing, or it was without effect
WHOLE, PARTLY, NOTHING, IDLE = "carried", "partly", "lost", "idle"


@dataclass(frozen=True)
class Fate:
    modifier: Modifier
    outcome: str


def stages(document: Document, found: Diagnostics) -> tuple[list[Stage], list[Fate]]:
    """The stages that have something to do, and what became of every modifier."""
    every: dict[str | None, Stage] = {}
    fates: list[Fate] = []
    for modifier in document.modifiers:
        stage = every.setdefault(modifier.stage, Stage(_name(modifier.stage), _mode(document, modifier.stage)))
        fates.append(Fate(modifier, _read(modifier, stage, document, found)))
    for stage in every.values():
        _settle_length(stage, document)
    document.tell(found)
    return [s for s in every.values() if _acts(s)], fates


def _read(modifier: Modifier, stage: Stage, document: Document, found: Diagnostics) -> str:
    label = document.label(modifier.span)
    if modifier.name in lost.IDLE:
        document.without_effect(f"`{modifier.name}` has no place here", legacy.NO_EFFECT, modifier.span)
        return IDLE
    table = legacy.READERS if document.dialect == LEGACY else newer.READERS
    if modifier.name not in table:
        why, instead = lost.reason(modifier.name, tuple(table))
        help = (instead,) if instead else ()
        found.add(Diagnostic("E112", f"`{modifier.name}` is lost: {why}", label, help=help))
        return NOTHING
    errors, parts = len(found.errors), len(stage.parts)
    arguments = Arguments(modifier, document, found)
    table[modifier.name](arguments, stage)
    arguments.idle(legacy.IDLE, legacy.NO_EFFECT)
    arguments.finish()
    if len(found.errors) == errors:
        return WHOLE
    return PARTLY if len(stage.parts) > parts else NOTHING


def _name(key: str | None) -> str:
    if key is None:
        return "train"
    name = re.sub(r"\W", "_", key, flags=re.ASCII).removesuffix("_stage") or "stage"
    return name if name.isidentifier() and name not in KEYWORDS else f"stage_{name}"


def _mode(document: Document, key: str | None) -> str:
    told = document.stages.get(key).run_type if key in document.stages else None  # type: ignore[arg-type, union-attr]
    return "one_shot" if told == "oneshot" else "train"


def _settle_length(stage: Stage, document: Document) -> None:
    """SparseML trained up to the last epoch that any modifier names, rounded up; others never said."""
    if document.dialect != LEGACY or stage.mode != "train":
        return
    for part in stage.parts:
        window = getattr(part, "window", None) or getattr(getattr(part, "sparsity", None), "window", None)
        for end in (window.end, window.start) if window is not None else ():
            if end is not None:
                stage.length = legacy.longest(stage.length, end)
    if stage.length is not None and stage.length.value is not None and stage.length.value.denominator != 1:
        stage.length = Amount(Fraction(ceil(stage.length.value)), "epochs", stage.length.span)


def _acts(stage: Stage) -> bool:
    return bool(stage.parts) or (stage.length is not None and stage.mode == "train" and bool(stage.weight_decay))
