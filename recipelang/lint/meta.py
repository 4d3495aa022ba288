"""What the block `meta` leaves out: shared by L090 and L091."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.walk import blocks
from recipelang.source import Span
from recipelang.syntax import tree as t


def without(tree: t.Recipe, name: str) -> Iterator[Span]:
    """Where an attribute of `meta` should be: the block, or the first line if there is none."""
    meta = blocks(tree, "meta")
    if not any(isinstance(s, t.Attribute) and s.name == name for block in meta for s in block.body):
        yield meta[0].header if meta else tree.version_span
