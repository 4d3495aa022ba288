"""Learning rates of an old recipe as one schedule that covers its stage."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

from recipelang.kinds.text import fraction
from recipelang.migrate import commanded
from recipelang.migrate.arguments import Amount
from recipelang.migrate.document import LEGACY
from recipelang.migrate.draft import Draft, hashed
from recipelang.migrate.form import Rate, Stage

_TRAINERS = "# the recipe had none of its own: its trainer let the rate fall to 0\n"


def learning_rate(stage: Stage, draft: Draft) -> str:
    """The attribute of a stage, as text."""
    if not stage.rates:
        return _without(stage, draft)
    commanded.replaced(draft.document.command)
    pieces = _Pieces(stage, draft).run()
    if len(pieces) == 1:
        *comment, piece = pieces[0].split("\n")
        return "\n".join([*comment, f"learning_rate = {piece}"])
    return "learning_rate = [\n" + "".join(f"{piece},\n" for piece in pieces) + "]"


def _without(stage: Stage, draft: Draft) -> str:
    """What an earlier stage left, or the trainer's own: that fell to 0 over all stages, unless one of them sets rates."""
    if stage.before is not None:
        return f"learning_rate = constant({draft.amounts.text(stage.before.last, 'low')}, over = start..end)"
    if any(s.rates for s in draft.stages):
        return f"learning_rate = constant({draft.rate()}, over = start..end)"
    rate = draft.rate()
    if sum(s.trains for s in draft.stages) == 1 and (own := commanded.rate(stage, draft)) is not None:
        return f"# from the training command: the recipe had none of its own\nlearning_rate = {own}"
    # the newer tools started a trainer for each stage, SparseML 1 had one for all of them
    trained = [s for s in draft.stages if s.trains] if draft.document.dialect == LEGACY else [stage]
    lengths = [None if s.length is None else s.length.value for s in trained]
    if None in lengths and len(trained) > 1:
        label = draft.document.label(next(s.span for s in draft.document.stages.values()))
        notes = ("the stages get equal lengths, because the file does not give their lengths",)
        draft.found.say("W132", "the trainer's rate decayed over all stages", label, notes=notes)
    index, told = trained.index(stage), [Fraction(1) if None in lengths else n or Fraction(0) for n in lengths]
    ends = list(accumulate((n / sum(told) for n in told), initial=Fraction(0)))
    first, last = (_of(1 - ends[i], rate) for i in (index, index + 1))
    return f"{_TRAINERS}learning_rate = linear({first} -> {last}, over = start..end)"


def _of(part: Fraction, rate: str) -> str:
    if part in (0, 1):
        return rate if part else "0"
    return f"{fraction(part)} * {rate}"


class _Pieces:
    """Piece after piece, without a gap: before the first the trainer's own rate was in force, after one its last."""

    def __init__(self, stage: Stage, draft: Draft) -> None:
        self.stage, self.draft = stage, draft
        self.rates = sorted(stage.rates, key=lambda r: _begins(r) or Fraction(0))
        self.pieces: list[str] = []
        self.at: Fraction | None = Fraction(0)  # as far as the pieces reach, and the same as text
        self.text = "start"
        self.held = "" if stage.before is None else draft.amounts.text(stage.before.last, "low")

    def run(self) -> list[str]:
        for rate, after in zip(self.rates, [*self.rates[1:], None], strict=True):
            self._reach(rate)
            self._add(rate, after)
        if self.text != "end" and not self.draft.compat:
            self.pieces.append(f"constant({self.held or self.draft.rate()}, over = {self.text}..end)")
        return self.pieces

    def _reach(self, rate: Rate) -> None:
        """Fill what lies before a piece."""
        start, begins = self._point(rate.window.start, "start"), _begins(rate)
        if self.draft.compat and self.pieces:  # what was set last stays by itself
            return
        if start != self.text and (begins is None or self.at is None or begins > self.at):
            self.pieces.append(f"constant({self.held or self.draft.rate()}, over = {self.text}..{start})")

    def _add(self, rate: Rate, after: Rate | None) -> None:
        begins = _begins(rate)
        if begins is not None and self.at is not None and begins < self.at:
            return self._refuse(rate, "two learning rates are in force at once")
        end, until = self._until(rate, after)
        if until is not None and begins is not None and until <= begins:
            return self._refuse(rate, "this learning rate ends before it begins")
        self.pieces.append(hashed(rate.comment) + self._piece(rate, self._point(rate.window.start, "start"), end))
        self.held = self.draft.amounts.text(rate.last, "low")
        self.at, self.text = until, end

    def _until(self, rate: Rate, after: Rate | None) -> tuple[str, Fraction | None]:
        """A rate that was set once stays until another one begins."""
        if rate.shape != "constant":
            end = rate.window.end
            return self._point(end, "end"), end.value if end is not None else self._length()
        if after is None:
            return "end", self._length()
        return self._point(after.window.start, "end"), _begins(after)

    def _length(self) -> Fraction | None:
        return self.stage.length.value if self.stage.length is not None else None

    def _piece(self, rate: Rate, start: str, end: str) -> str:
        text = self.draft.amounts.text
        first, last = text(rate.first, "peak"), text(rate.last, "low")
        if rate.shape == "constant":
            return f"constant({last}, over = {start}..{end})"
        # a cycle of the original had its last value on its last step, a decay that did not restart would have it after
        rewind = f", rewind = {text(rate.rewind, 'cycle')}, ends = last" if rate.rewind is not None else ""
        return f"{rate.shape}({first} -> {last}, over = {start}..{end}{rewind})"

    def _point(self, at: Amount | None, side: str) -> str:
        return self.draft.amounts.point(at, self.stage.length, side)

    def _refuse(self, rate: Rate, message: str) -> None:
        self.draft.found.say("E113", message, self.draft.document.label(rate.span))


def _begins(rate: Rate) -> Fraction | None:
    start = rate.window.start
    return Fraction(0) if start is None else start.value
