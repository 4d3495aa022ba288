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
            "Pruning events fall on exact steps. SparseML added an interval to the epoch of the last event, a float, so that "
            "events drifted."
        )
    if any(p.sparsity is not None for p in prunes) and not compat:
        said.append(
            "Among equal scores, the first weights are pruned. SparseML pruned the last ones, and some of the smallest by a fixed shuffle."
            if dialect == LEGACY
            else "The number of zeros is exact, also with ties. The loaders rounded it down and pruned all equal scores."
        )
    rates = [r for s in stages for r in s.rates if r.shape != "constant"]
    if any(r.rewind is None for r in rates) and not compat:
        said.append(
            "A learning rate equals that of SparseML at every step of a window of whole steps. After a fractional end, the rate of "
            "SparseML could pass its last value and fall below 0."
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
            "Optimizer, clipping and weight decay have the defaults of this language unless the recipe sets them; the loaders took them from the trainer."
        )
    return tuple(said)
