"""L002: the head is pruned."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject, pruned

CODE, NAME, LEVEL, NEEDS = "L002", "prunes-head", "deny", "plan"


def check(it: Subject) -> Iterator[Finding]:
    for at, share in pruned(it, "head"):
        help = "keep it dense: it is small, and every output depends on it"
        yield Finding(at, f"the head is pruned ({share:.4%} of the model)", help)
