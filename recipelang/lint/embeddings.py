"""L001: embeddings are pruned."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.plan.types import Plan

CODE = "L001"


def check(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for stage in plan.stages:
        for prune in stage.prunes:
            hit = [t for t in prune.targets if t.purpose == "embeddings"]
            if hit:
                share = sum(t.size for t in hit) / plan.model.parameters
                yield (
                    f"stage.{stage.name}.prune.{prune.name}.targets",
                    f"embeddings are pruned ({share:.1%} of the model)",
                    "keep them dense: `targets = @linear & @encoder`, `never = @embeddings | @head`",
                )
