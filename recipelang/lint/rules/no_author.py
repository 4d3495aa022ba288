"""L091: nobody answers for this recipe."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import without

CODE, NAME, LEVEL, NEEDS = "L091", "no-author", "info", "tree"


def check(it: Subject) -> Iterator[Finding]:
    for at in without(it.tree, "authors"):
        yield Finding(at, "the recipe has no author", 'name a contact in `meta`: `authors = ["..."]`')
