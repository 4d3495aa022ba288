"""L071: a parameter without a word on what it is."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.syntax import tree as t

CODE, NAME, LEVEL, NEEDS = "L071", "undocumented-param", "info", "tree"


def check(it: Subject) -> Iterator[Finding]:
    for node in it.tree.statements:
        if isinstance(node, t.Param) and not _doc(node):
            help = "describe it on the line above, after `##`"
            yield Finding(node.name_span, f"param `{node.name}` is not documented", help)


def _doc(node: t.Param) -> str:
    """Its own words, or those of the base whose parameter it narrows."""
    return node.doc.strip() or (_doc(node.narrows) if node.narrows else "")
