"""L003: nothing is protected."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.plan.types import Plan

CODE = "L003"


def check(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for stage in plan.stages:
        for prune in stage.prunes:
            if not prune.never:
                yield (
                    f"stage.{stage.name}.prune.{prune.name}",
                    "this block says nothing of what must stay dense",
                    "add `never = @embeddings | @head`: a later change of `targets` then cannot reach them unseen",
                )
