"""A recipe with a cursor: `‸` stands where it is."""

from __future__ import annotations

from collections.abc import Mapping

from recipelang.editor.document import Document

CURSOR = "‸"
HEADER = 'recipe 1 "a"\n'


def marked(text: str, name: str = "a.recipe", texts: Mapping[str, str] | None = None) -> tuple[Document, int]:
    """The text without the cursor, and the cursor's offset."""
    whole = text if text.startswith("recipe") else HEADER + text
    assert whole.count(CURSOR) == 1
    return Document(name, whole.replace(CURSOR, ""), texts), whole.index(CURSOR)
