"""Learning rates of an old recipe as one schedule that covers its stage."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from recipelang.migrate.comments import hashed
from recipelang.migrate.form import Rate, Stage
from recipelang.source import Diagnostic

if TYPE_CHECKING:
    from recipelang.migrate.write import Writer


def learning_rate(stage: Stage, writer: Writer) -> str:
    """The attribute. Before the first piece the trainer's own rate was in force, after a piece its last value."""
    if not stage.rates:
        rate = writer.rate()
        return f"# the recipe had none of its own: its trainer let the rate fall to 0\nlearning_rate = linear({rate} -> 0, over = start..end)"
    pieces: list[str] = []
    at: tuple[Fraction | None, str] = (Fraction(0), "start")
    held = ""
    rates = sorted(stage.rates, key=lambda r: _value(r) or Fraction(0))
    for i, rate in enumerate(rates):
        start = writer.amounts.point(rate.window.start, stage.length, "start")
        begins = _value(rate)
        if start != at[1] and begins is not None and at[0] is not None and begins != at[0]:
            if begins < at[0]:
                label = writer.document.label(rate.span)
                writer.found.add(Diagnostic("E113", "two learning rates are in force at once", label))
                continue
            pieces.append(f"constant({held or writer.rate()}, over = {at[1]}..{start})")
        after = rates[i + 1] if i + 1 < len(rates) else None
        end = writer.amounts.point(rate.window.end, stage.length, "end")
        until = rate.window.end.value if rate.window.end is not None else None
        if rate.shape == "constant":  # it stays until another one begins
            end = writer.amounts.point(after.window.start, stage.length, "end") if after else "end"
            until = _value(after) if after else None
        elif until is not None and begins is not None and until <= begins:
            writer.found.add(
                Diagnostic("E113", "this learning rate ends before it begins", writer.document.label(rate.span))
            )
            continue
        pieces.append(hashed(rate.comment) + _piece(rate, start, end, writer))
        held = writer.amounts.text(rate.last, "low")
        at = (until, end)
    if at[1] != "end":
        pieces.append(f"constant({held}, over = {at[1]}..end)")
    if len(pieces) == 1:
        *comment, piece = pieces[0].split("\n")
        return "\n".join([*comment, f"learning_rate = {piece}"])
    return "learning_rate = [\n" + "".join(f"{p},\n" for p in pieces) + "]"


def _piece(rate: Rate, start: str, end: str, writer: Writer) -> str:
    first, last = writer.amounts.text(rate.first, "peak"), writer.amounts.text(rate.last, "low")
    if rate.shape == "constant":
        return f"constant({last}, over = {start}..{end})"
    rewind = f", rewind = {writer.amounts.text(rate.rewind, 'cycle')}" if rate.rewind is not None else ""
    return f"{rate.shape}({first} -> {last}, over = {start}..{end}{rewind})"


def _value(rate: Rate) -> Fraction | None:
    start = rate.window.start
    return Fraction(0) if start is None else start.value
