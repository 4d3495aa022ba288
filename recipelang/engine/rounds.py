"""`shrink` in rounds: between two steps the model becomes smaller, and its optimizer remembers what stays of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from recipelang.engine.seeds import stream
from recipelang.engine.shrink import Left
from recipelang.modifiers.modifier import Modifier, State
from recipelang.planning.shrink_plan import ShrinkPlan
from recipelang.tasks import Features
from recipelang.tasks.mixture import Mixed


class Rounds(Modifier):
    """Calls `act` at the steps of the rounds, before anything else looks at the model."""

    def __init__(self, rounds: Sequence[ShrinkPlan], act: Callable[[ShrinkPlan, State], None]) -> None:
        self.rounds = {r.step: r for r in rounds}
        self.act = act

    def on_step_start(self, state: State) -> None:
        if plan := self.rounds.get(state.step):
            self.act(plan, state)

    def catch_up(self, state: State) -> None:
        """The rounds that a rehearsal has not come to: stages after it are of the smaller model."""
        for step, plan in self.rounds.items():
            if step is not None and step >= state.step:
                self.act(plan, state)


@torch.no_grad()
def cut_optimizer(
    optimizer: torch.optim.Optimizer, kept: Left, before: Mapping[str, nn.Parameter], small: nn.Module
) -> None:
    """The optimizer goes on with the parameters of the smaller model, in the same groups. What it remembers of a weight
    that stays it keeps. `before`: parameters of the larger model by name; others in its groups are not the model's."""
    now = dict(small.named_parameters())
    named = {parameter: (kept.renamed(name), name) for name, parameter in before.items()}
    for group in optimizer.param_groups:
        told = ((p, named[p][0] if p in named else "") for p in group["params"])
        group["params"] = [now[new] if new else p for p, new in told if new is not None]
    for parameter, (new, old) in named.items():
        memory = optimizer.state.pop(parameter, None)
        if memory is not None and new is not None:
            optimizer.state[now[new]] = {
                key: kept.taken(old, value) if value.shape == parameter.shape else value
                for key, value in memory.items()
            }


class Drawn:
    """Some rows of a data set, drawn from it."""

    def __init__(self, features: Features, many: int, seed: int) -> None:
        self.features = features
        if isinstance(features, Mixed):
            self.rows = features.mixture.rows(0, many, partial(stream, seed))
        else:
            self.rows = np.random.default_rng(seed).permutation(len(features))[:many]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return self.features.batch(self.rows[rows])
