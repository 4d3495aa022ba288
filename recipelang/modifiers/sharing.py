"""How many zeros each matrix gets where layers share out what the plan has for all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor

from recipelang.modifiers.matrices import live_of, weights_of
from recipelang.modifiers.modifier import State
from recipelang.planning.prune_plan import PrunePlan
from recipelang.pruning import owl
from recipelang.pruning.inputs import Squares, not_finite
from recipelang.pruning.matrix_names import layer_of, parameter_of
from recipelang.pruning.scores.wanda import score
from recipelang.pruning.selection import counts


def shared(plan: PrunePlan, pieces: Sequence[str], zeros: int, state: State) -> list[int]:
    """Of each matrix, in their order; the sum is `zeros`. The layers are looked at as they are, before any is pruned.

    What each layer was given is noted in `state.shared`.
    """
    found: list[Fraction] = []
    layers: list[list[str]] = []
    sizes: dict[str, int] = {}
    masked: dict[str, int] = {}
    for inputs in state.layers(pieces, Squares, "untouched"):
        weights = weights_of(list(dict.fromkeys(parameter_of(n)[0] for n in inputs)), state)
        scores: list[Callable[[], Tensor]] = []
        for (name, gathered), weight in zip(inputs.items(), weights, strict=True):
            if not bool(gathered.sums.isfinite().all()):
                raise not_finite()
            live = live_of(name, weight, state)
            sizes[name], masked[name] = weight.numel(), live.numel() - counts([live])[0]
            if gathered.tokens:  # an expert that no token reached has no outputs
                scores.append(partial(_scores, weight, gathered.sums))
        layers.append(list(inputs))
        found.append(owl.outliers(scores, float(plan.args["m"])))
        if state.present is not None:
            state.masks.settle()
    wanted = [sum(sizes[n] for n in names) for names in layers]
    total, far = sum(wanted), Fraction(plan.args["lambda"])
    of = owl.sparsities(found, wanted, Fraction(zeros, total), far)
    share = {n: s for names, s in zip(layers, of, strict=True) for n in names}
    unit = plan.pattern_size[0] * plan.pattern_size[1] if plan.pattern == "block" else 1
    exact = [share[n] * sizes[n] / unit for n in pieces]
    least, most = [masked[n] // unit for n in pieces], [sizes[n] // unit for n in pieces]
    each = dict(zip(pieces, (unit * n for n in owl.spread(zeros // unit, exact, least, most)), strict=True))
    state.shared[plan.name] = {
        layer_of(names[0]): sum(each[n] for n in names) / size for names, size in zip(layers, wanted, strict=True)
    }
    return [each[n] for n in pieces]


def _scores(weight: Tensor, squares: Tensor) -> Tensor:
    return score(weight.detach().to(torch.float32), squares)
