"""Which runs can leave the weights of their model on disk, as far as a plan tells, and how much memory they need."""

from __future__ import annotations

from collections import defaultdict

from recipelang.methods import METHODS
from recipelang.planning.memory import ITEM
from recipelang.planning.types import Plan
from recipelang.source import fail

#: bytes of the states of samples that are in memory; those of the others lie in a file
ROOM = 2**28
_ELSE = "run without `--offload`, on a machine with more memory"


def check_offloaded(plan: Plan) -> None:
    """E223 unless the plan is of one one-shot stage that ranks every tensor by itself."""
    if len(plan.stages) != 1 or plan.stages[0].mode != "one_shot":
        notes = ["it has " + ("several stages" if len(plan.stages) > 1 else "a stage that trains")]
        help = f"prune in a recipe of a single one-shot stage, and train its result with another; or {_ELSE}"
        raise fail("E223", "weights stay on disk only in a single one-shot stage", notes=notes, help=help)
    targets: set[str] = set()
    for prune in plan.stages[0].prunes:
        method, names = METHODS[prune.method], {t.name for t in prune.targets}
        if not (method.looks_at == "inputs" or (method.looks_at == "weights" and method.shards and method.scheduled)):
            help = f"choose `wanda`, `sparsegpt`, `magnitude` or `random`, or {_ELSE}"
            raise fail("E223", f"`{prune.method}` needs all weights in memory", help=help)
        if prune.scope == "global":
            what = f"`scope = global` of `{prune.name}` ranks all weights together"
            notes = ["they would have to be in memory"]
            raise fail("E223", what, notes=notes, help=f"choose `scope = uniform`, or {_ELSE}")
        if again := targets & names:
            raise fail("E223", f"`{min(again)}` is pruned twice, with weights on disk", help=_ELSE)
        targets |= names
    if plan.model.drop is not None or plan.model.redrawn or plan.model.fresh_head:
        what = "loses layers" if plan.model.drop is not None else "gets a new head"
        raise fail("E223", f"the model {what}, which needs its weights in memory", help=_ELSE)


def offloaded_memory(plan: Plan) -> int:
    """Bytes, an estimate: one layer with its masks and statistics, what is in no layer, the states of the samples.

    Weights are read from a mapped file, whose pages count until it is closed, and copied. A layer is pruned when what is
    in none is gone, but what was freed is not always given back.
    """
    stage, item = plan.stages[0], ITEM[plan.model.dtype]
    layers: dict[tuple[str, ...], int] = defaultdict(int)
    largest = 0
    for prune in stage.prunes:
        for target in prune.targets:
            layers[_layer(target.name)] += target.size
            # as doubles, with what is left of them
            largest = max(largest, 16 * target.size if METHODS[prune.method].compensates else 0)
    one, all = max(layers.values(), default=0), sum(layers.values())
    read = stage.calibration
    states = min(ROOM, read.states * item // 4) if read else 0
    layer = (2 * item + 1) * one + (read.statistics if read else 0) + largest
    return layer + 2 * item * (plan.model.parameters - all) + states


def _layer(name: str) -> tuple[str, ...]:
    """The path to a layer: up to the first number."""
    parts = name.split(".")
    return tuple(parts[: next((i + 1 for i, part in enumerate(parts) if part.isdigit()), len(parts))])
