"""Parts of a model that are best left alone: what L001 and L002 share."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Subject


def pruned(it: Subject, purpose: str) -> Iterator[tuple[str, float]]:
    """Where targets of this purpose are pruned, and their share of the model."""
    for stage in it.plan.stages:
        for prune in stage.prunes:
            if hit := sum(t.size for t in prune.targets if t.purpose == purpose):
                yield f"stage.{stage.name}.prune.{prune.name}.targets", hit / it.plan.model.parameters
