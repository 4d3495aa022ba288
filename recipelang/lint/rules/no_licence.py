"""L090: nobody may use this recipe."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import without

CODE, NAME, LEVEL, NEEDS = "L090", "no-licence", "info", "tree"


def check(it: Subject) -> Iterator[Finding]:
    for at in without(it.tree, "license"):
        help = 'add one in `meta`: `license = "Apache-2.0"`; without a licence others may read it but not use it'
        yield Finding(at, "the recipe has no licence", help)
