"""Which modifier acts for a `prune` block: as its method declares what it does with masks."""

from __future__ import annotations

from recipelang.methods import METHODS
from recipelang.modifiers.drawn import Drawn
from recipelang.modifiers.modifier import Modifier
from recipelang.modifiers.prune import Prune, Regrow, make, pieces
from recipelang.planning.prune_plan import PrunePlan


def pruner(plan: PrunePlan, seed: int) -> Modifier:
    method = METHODS[plan.method]
    if not method.scheduled:
        acts: Modifier = method.load()(plan)
        return acts
    score = make(plan.method, plan.args, pieces(plan), seed)
    acting = Drawn if method.masks == "draws" else Regrow if method.regrows else Prune
    return acting(plan, score, seed)
