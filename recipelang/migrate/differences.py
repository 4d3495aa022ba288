"""What a reading does otherwise than the loader did, for what a recipe uses."""

from __future__ import annotations

from recipelang.migrate.document import LEGACY
from recipelang.migrate.form import Sparsity, Stage


def differences(dialect: str, stages: list[Stage], *, compat: bool = False) -> tuple[str, ...]:
    """Sentences for the report; none of them is a loss."""
    said: list[str] = []
    prunes = [p for s in stages for p in s.prunes]
    ramps = [p.sparsity for p in prunes if isinstance(p.sparsity, Sparsity)]
    if dialect == LEGACY and ramps and not compat:
        said.append(
            "Pruning events fall on exact steps. SparseML added an interval to the last event's epoch, a float, "
            "so that events drifted behind their times."
        )
    if any(p.sparsity is not None for p in prunes) and not compat:
        said.append(
            "Of equal scores the first go. SparseML let the last go, and of the smallest some by a fixed shuffle."
            if dialect == LEGACY
            else "The number of zeros is exact, whatever the ties. The loaders rounded it down, and let all equal scores go."
        )
    rates = [r for s in stages for r in s.rates if r.shape != "constant"]
    if any(r.rewind is None for r in rates) and not compat:
        said.append(
            "A learning rate equals SparseML's at every step of a window of whole steps; after a fractional end, SparseML's "
            "could go past its last value, and below 0."
        )
    if any(r.rewind is not None for r in rates) and not compat:
        said.append(
            "A learning rate restarts at exact steps, and reaches its last value on the last step of each cycle "
            "(`ends = last`), as in SparseML. On the step after the window, SparseML set the first value again, or divided "
            "by zero."
        )
    said += dict.fromkeys(p.declared.elsewhere for p in prunes if p.declared.elsewhere)
    if sum(s.trains for s in stages) > 1 and dialect == LEGACY:
        said.append("Every stage starts with a new optimizer; SparseML kept one optimizer through all stages.")
    if any(s.weight_decay is None and s.mode == "train" for s in stages):
        said.append(
            "Optimizer, clipping and weight decay are those of this language unless written: the loaders took them from the trainer."
        )
    return tuple(said)
