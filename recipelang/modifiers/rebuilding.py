"""A layer that was pruned, trained to give what the dense model gave after it."""

from __future__ import annotations

from collections.abc import Sequence

from recipelang.modifiers.modifier import State
from recipelang.planning.prune_plan import PrunePlan
from recipelang.pruning.matrix_names import layer_of, parameter_of
from recipelang.pruning.reconstruction import Samples, reconstruct


def rebuild(plan: PrunePlan, state: State, targets: Sequence[str], samples: Samples) -> None:
    """The remaining weights of the targets of one layer; what came of it is noted in `state.reconstructed`."""
    how = plan.reconstruct
    assert how is not None
    names = list(dict.fromkeys(parameter_of(n)[0] for n in targets))
    weights = [state.model.get_parameter(n) for n in names]
    keeps = [state.masks.get(n) for n in names]
    found = reconstruct(samples, weights, keeps, steps=how.steps, rate=how.learning_rate)
    state.reconstructed.setdefault(plan.name, {})[layer_of(names[0])] = found
    if state.present is not None:
        state.masks.settle()
