"""L092: a reported number without its source."""

from __future__ import annotations

import re
from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import attribute
from recipelang.syntax import tree as t

CODE, NAME, LEVEL, NEEDS = "L092", "uncited-number", "info", "recipe"
_SOURCE = re.compile(r"arxiv:|doi:|https?://|10\.\d{4,}/|hf://", re.IGNORECASE)


def check(it: Subject) -> Iterator[Finding]:
    meta = it.recipe.meta
    if len(meta.cites) == 1:
        return  # it can only be that one
    node = attribute(it.tree, "meta.reported")
    items = node.value.items if node is not None and isinstance(node.value, t.ListOf) else ()
    for index, text in enumerate(meta.reported):
        if re.search(r"\d", text) and not _SOURCE.search(text):
            at = items[index].span if len(items) == len(meta.reported) else "meta.reported"
            yield Finding(
                at, "this number has no source", "cite the paper or page, as in `(arxiv:2203.07259, table 1)`"
            )
