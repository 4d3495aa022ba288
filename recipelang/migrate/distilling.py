"""Distillation of an old recipe as one block: of several modifiers, one after another, schedules are made."""

from __future__ import annotations

from recipelang.migrate.draft import Draft, hashed
from recipelang.migrate.form import Distill, Stage


def distillation(stage: Stage, draft: Draft) -> str:
    """The block of a stage, as text; empty where nothing distils."""
    parts = _one_after_another(stage, draft)
    if not parts:
        return ""
    draft.teacher()
    comment = "".join(hashed(part.comment) for part in parts)
    lines = ["teacher = teacher", f"on = {parts[0].on}", f"hardness = {_hardness(parts, stage, draft)}"]
    lines.append(f"temperature = {_temperature(parts, stage, draft)}")
    return f"{comment}distill {{\n" + "\n".join(lines) + "\n}"


def _one_after_another(stage: Stage, draft: Draft) -> list[Distill]:
    """Those that one block can say. The loader let two at once follow each other in the loss, which has no place here."""
    taken: list[Distill] = []
    for part in sorted(stage.distills, key=lambda d: d.window.order):
        ends = part.window.end
        if ends is not None and ends.value is not None and ends.value <= part.window.begins:
            _refuse(part, "this distillation ends before it begins", draft)
        elif not taken:
            taken.append(part)
        elif part.on != taken[0].on:
            _refuse(part, f"it distils `{part.on}`, the previous modifier `{taken[0].on}`", draft)
        elif not taken[-1].window.ends_before(part.window):
            _refuse(part, "two distillations are in force at once", draft)
        else:
            taken.append(part)
    return taken


def _refuse(part: Distill, message: str, draft: Draft) -> None:
    help = "write two stages, each with its own `distill`"
    draft.found.say("E113", message, draft.document.label(part.span), help=help)


def _hardness(parts: list[Distill], stage: Stage, draft: Draft) -> str:
    """Nothing is distilled before the first, between them, and after the last."""
    pieces: list[tuple[str, str, str]] = []
    at = "start"
    for part in parts:
        start = draft.amounts.point(part.window.start, stage.length, "start")
        end = draft.amounts.point(part.window.end, stage.length, "end")
        if start != at:
            pieces.append(("0%", at, start))
        pieces.append((draft.amounts.text(part.hardness), start, end))
        at = end
    if at != "end":
        pieces.append(("0%", at, "end"))
    return _written(pieces)


def _temperature(parts: list[Distill], stage: Stage, draft: Draft) -> str:
    """One stays until the next begins: what is between them has no hardness."""
    values = [draft.amounts.text(part.temperature) for part in parts]
    starts = ["start", *(draft.amounts.point(p.window.start, stage.length, "start") for p in parts[1:])]
    return _written(list(zip(values, starts, [*starts[1:], "end"], strict=True)))


def _written(pieces: list[tuple[str, str, str]]) -> str:
    if len({value for value, _, _ in pieces}) == 1:
        return pieces[0][0]
    constants = [f"constant({value}, over = {start}..{end})" for value, start, end in pieces]
    return f"[{', '.join(constants)}]"
