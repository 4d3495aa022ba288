"""Which runs can leave the weights of their model on disk, as far as a plan tells."""

from __future__ import annotations

from recipelang.kinds.formats import others
from recipelang.methods import METHODS
from recipelang.planning.types import Plan
from recipelang.source import fail

#: bytes of the states of samples that are in memory; those of the others lie in a file
ROOM = 2**28
#: bytes read of a mapped file before it is closed: its pages count as memory until then
MAPPED = 2**26
_ELSE = "run without `--offload`, on a machine with more memory"


def check_offloaded(plan: Plan) -> None:
    """E223 unless the plan only prunes in one shot, with methods that look at one tensor or layer after the other."""
    if trained := next((s for s in plan.stages if s.mode != "one_shot"), None):
        notes = [f"stage `{trained.name}` trains, which needs weights, gradients and moments in memory"]
        help = f"prune in a recipe of one-shot stages, and train its result with another; or {_ELSE}"
        raise fail("E223", "weights stay on disk only in one-shot stages", notes=notes, help=help)
    if any(s.shrinks for s in plan.stages):
        raise fail("E223", "a model is shrunk with its weights in memory", help=_ELSE)
    for prune in (p for s in plan.stages for p in s.prunes):
        method = METHODS[prune.method]
        if method.scheduled and not (method.looks_at == "inputs" or (method.looks_at == "weights" and method.shards)):
            help = f"choose `wanda`, `sparsegpt`, `alps`, `magnitude` or `random`, or {_ELSE}"
            notes = ["it ranks by gradients, which a pass through the whole model gives"]
            raise fail("E223", f"`{prune.method}` needs all weights in memory", notes=notes, help=help)
    if more := others(plan.export):
        help = f"remove `{more[0]}` from `formats`, or {_ELSE}"
        raise fail("E223", f"`{more[0]}` is exported with all weights in memory", help=help)
    if timed := next((f for f in plan.figures if f.timed), None):
        help = f"remove the claim, measure the result with `recipelang bench`, or {_ELSE}"
        raise fail("E223", f"`{timed.name}` is measured with all weights in memory", help=help)
    if plan.model.drop is not None or plan.model.redrawn or plan.model.fresh_head:
        what = "loses layers" if plan.model.drop is not None else "gets a new head"
        raise fail("E223", f"the model {what}, which needs its weights in memory", help=_ELSE)
