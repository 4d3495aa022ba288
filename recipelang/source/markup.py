"""Text from elsewhere in HTML and Markdown: shown as it is, never read as markup, control characters spelt out."""

from __future__ import annotations

import html
import re

from recipelang.source.render import clean, line_of

#: what CommonMark, GitHub's tables and addresses read as more than a character
_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~$@:])")


def escape(text: str) -> str:
    """For HTML, between tags or in a quoted attribute."""
    return html.escape(clean(text))


def markdown(text: str) -> str:
    """For a line or a cell of Markdown, outside of code."""
    return _MARKS.sub(r"\\\1", html.escape(line_of(text), quote=False))


def markdown_code(text: str) -> str:
    """A span of code in a line or a cell of Markdown, fence included."""
    shown = line_of(text).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`" if shown.strip() else ""
