"""L013: the first step towards a high sparsity is small."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject

CODE, NAME, LEVEL, NEEDS = "L013", "small-first-step", "info", "plan"
FROM = 0.9


def check(it: Subject) -> Iterator[Finding]:
    first = _published(it.facts.layers)
    stage = next((s for s in it.plan.stages if s.scheduled), None)
    if first is None or stage is None:
        return
    for prune in stage.scheduled:
        start = next((e.sparsity for e in prune.events if e.sparsity), 0)
        final = prune.events[-1].sparsity
        if len(prune.events) > 1 and final >= FROM and start < first:
            yield Finding(
                f"stage.{stage.name}.prune.{prune.name}.sparsity",
                f"the first step towards {final:.0%} is {start:.0%}",
                f"start at {first:.0%}, as published for this sparsity: it leaves more time for the hard steps",
            )


def _published(layers: int) -> float | None:
    """The first step of the published recipes: for 12 layers, and for 6 and 3."""
    if layers >= 12:
        return 0.7
    return 0.3 if layers <= 6 else None
