"""Sparsities that differ from layer to layer: what a plan can say of them before the run has looked at a layer."""

from __future__ import annotations

from fractions import Fraction

from recipelang.kinds.text import percent
from recipelang.planning.context import Context
from recipelang.planning.prune_plan import ReconstructPlan
from recipelang.spec.blocks import PruneSpec
from recipelang.values.composite import Chosen


def arguments(method: Chosen) -> dict[str, object]:
    """As a plan has them, fractions as floats; those of the scope stand beside the others."""
    found: dict[str, object] = {}
    for name, value in method.arguments:
        if isinstance(value, Chosen):
            found |= {name: value.name, **arguments(value)}
        elif value is not None:
            found[name] = float(value) if isinstance(value, Fraction) else value
    return found


def reconstruction(spec: PruneSpec) -> ReconstructPlan | None:
    return ReconstructPlan(**arguments(spec.reconstruct)) if spec.reconstruct is not None else None  # type: ignore[arg-type]


def fits(context: Context, spec: PruneSpec, sparsity: Fraction, targets: tuple[str, ...], path: str) -> bool:
    """Of `owl`, whatever the outliers: E192 where a layer could be asked for less than nothing or for more than all."""
    scope = spec.method.get("scope")
    if not isinstance(scope, Chosen):
        return True
    far = scope.get("lambda")
    assert isinstance(far, Fraction)
    room = min(sparsity, 1 - sparsity)
    if far > room:
        message = f"`lambda = {percent(far)}` does not fit around {percent(sparsity)}"
        notes = (f"layers could be asked for {percent(sparsity - far)} to {percent(sparsity + far)}",)
        help = f"write `lambda = {percent(room)}` or less" if room else "write `scope = uniform`"
        context.say("E192", message, f"{path}.method", help, notes)
        return False
    wanted = set(targets)
    layers = {(t.stack, t.layer) for t in context.facts.tensors if t.name in wanted}
    if len(layers) == 1 or not far:
        why = "all targets are in one layer" if len(layers) == 1 else "`lambda` is 0%"
        help = "select targets in several layers, or write `scope = uniform`"
        context.say("W192", "`owl` gives every layer the same sparsity", f"{path}.method", help, (why,))
    return True
