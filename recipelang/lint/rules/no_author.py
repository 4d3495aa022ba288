"""L091: nobody answers for this recipe."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.meta import without
from recipelang.lint.subject import Finding, Subject

CODE, NAME, LEVEL, NEEDS = "L091", "no-author", "info", "tree"


def check(it: Subject) -> Iterator[Finding]:
    for at in without(it.tree, "authors"):
        yield Finding(at, "the recipe has no author", 'say whom to ask in `meta`: `authors = ["..."]`')
