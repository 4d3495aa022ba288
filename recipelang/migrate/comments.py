"""Comments of the old text in the new one."""

from __future__ import annotations

from recipelang.source.render import line_of

#: of a comment of one line
_WIDTH = 110


def lines(text: str) -> list[str]:
    """Without characters that a recipe may not hold."""
    return [line_of(line)[:_WIDTH] for line in text.splitlines() if line.strip()]


def hashed(text: str) -> str:
    """`# ` lines, each with its line end."""
    return "".join(f"# {line}\n" for line in lines(text))
