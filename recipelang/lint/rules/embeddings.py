"""L001: embeddings are pruned."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject, pruned

CODE, NAME, LEVEL, NEEDS = "L001", "prunes-embeddings", "deny", "plan"


def check(it: Subject) -> Iterator[Finding]:
    for at, share in pruned(it, "embeddings"):
        help = "keep them dense: `targets = @linear & @encoder`, `never = @embeddings | @head`"
        yield Finding(at, f"embeddings are pruned ({share:.1%} of the model)", help)
