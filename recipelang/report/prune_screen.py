"""What `prune` blocks do on the screen of a plan: their events, and their targets by kind of tensor."""

from __future__ import annotations

import itertools

from rich.table import Table

from recipelang.methods import METHODS
from recipelang.planning.prune_plan import PruneEvent, PrunePlan
from recipelang.source.render import clean
from recipelang.source.words import plural


def at_once(prune: PrunePlan) -> str:
    if not prune.events:
        return events(prune)
    text = f"{prune.final:.2%} at once"
    if prune.scope == "owl":
        far = float(prune.args["lambda"])
        text += f", each layer {prune.final - far:.2%} to {prune.final + far:.2%}, by outliers above {prune.args['m']:g} times its mean"
    if how := prune.reconstruct:
        text += f"; each layer then trained {plural(how.steps, 'step')} to give the dense model's outputs"
    return text


def events(prune: PrunePlan) -> str:
    def one(e: PruneEvent) -> str:
        return f"step {e.step:,} {e.sparsity:.2%}"

    found = prune.events
    if not found:
        size = sum(t.size for t in prune.targets)
        share = f" ({sum(prune.held) / size:.2%} of the weights)" if prune.held and size else ""
        return {
            "keeps": f"keeps the zeros of the loaded model{share} and adds none",
            "releases": "removes the masks of earlier stages",
        }[METHODS[prune.method].masks]
    jumps = [b.sparsity - a.sparsity for a, b in itertools.pairwise(found)]
    shown = [one(e) for e in found] if len(found) < 4 else [one(found[0]), one(found[1]), "…", one(found[-1])]
    text = f"{plural(len(found), 'event')}: {', '.join(shown)}"
    if max(jumps, default=0) > 0:
        text += f"; largest increase {max(jumps):.2%}"
    return text + _swaps(prune)


def _swaps(prune: PrunePlan) -> str:
    """For a method that regrows weights. At the first event it may have to draw masks instead."""
    if not any(any(e.grown) for e in prune.events):
        return ""
    second = prune.events[1]
    live = sum(t.size for t in prune.targets) - sum(second.zeros)
    return f"; swaps {sum(second.grown):,} of {live:,} remaining weights at step {second.step:,}, then fewer, none at the end"


def _heading(prune: PrunePlan) -> str:
    """What is ranked together, in which pattern."""
    scope = f"owl, {prune.inner} in a matrix" if prune.scope == "owl" else prune.scope
    match prune.pattern:
        case "N:M":
            return "pruned by {}, {}:{}".format(prune.method, *prune.pattern_size)
        case "block":
            return "pruned by {}, {}, blocks of {} × {}".format(prune.method, scope, *prune.pattern_size)
    return f"pruned by {prune.method}, {scope}" if prune.events else prune.method


def targets(prune: PrunePlan, all: int) -> Table:
    """Targets by kind of tensor, with counts and shares; then what stays dense, and why."""
    groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for target in prune.targets:
        groups.setdefault((kind(target.name), target.shape), []).append(target.size)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(_heading(prune), overflow="fold")
    for heading in ("tensors", "shape", "weights", "share"):
        table.add_column(heading, justify="right", no_wrap=True)

    def row(name: str, tensors: int, shape: str, weights: int, style: str = "") -> None:
        table.add_row(name, f"{tensors:,}", shape, f"{weights:,}", f"{weights / all:.1%}", style=style)

    for (name, shape), sizes in groups.items():
        row(clean(name), len(sizes), " × ".join(map(str, shape)), sum(sizes))
    row("all targets", len(prune.targets), "", sum(t.size for t in prune.targets), "bold")
    for dense in prune.dense:
        why = " (never)" if dense.protected else " (not named)" if dense.what == "router" else ""
        row(f"dense: {dense.what}{why}", dense.tensors, "", dense.weights)
    return table


def kind(name: str) -> str:
    """`bert.encoder.layer.3.output.dense.weight` as `encoder.layer.*.output.dense`."""
    parts = name.removesuffix(".weight").split(".")
    whole = len(parts) < 2 or parts[0] in ("encoder", "decoder", "transformer", "layers") or parts[1].isdigit()
    return ".".join("*" if part.isdigit() else part for part in parts[not whole :])
