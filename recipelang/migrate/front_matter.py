"""A recipe inside a Markdown file: the YAML between the first two lines of `---`."""

from __future__ import annotations

import re

from recipelang.source import Source, Span

_FENCE = re.compile(r"^(?:---|\+\+\+)[ \t]*$", re.MULTILINE)


def front_matter(source: Source) -> Span | None:
    """Where the YAML is; none when the text has no two such lines."""
    first = _FENCE.search(source.text)
    second = _FENCE.search(source.text, first.end()) if first else None
    if first is None or second is None:
        return None
    return Span(source.base + first.end(), source.base + second.start())
