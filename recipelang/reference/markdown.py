"""Pieces of Markdown that also read well as plain text. Text of a recipe is never trusted with its own markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from recipelang.source.render import clean

#: what could begin markup, HTML, an entity or a link, wherever it stands
_SPECIAL = re.compile(r"([\\`*\[\]<>|~$@]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|:(?=//)|\.(?<=www\.))")
#: what could begin a heading, a list or a rule at the start of a line
_BEGINS = re.compile(r"^(\s*\d*)([-+=#.)])", re.MULTILINE)


def plain(text: str) -> str:
    """Text of a recipe as words: no markup, no HTML, no links, no hidden characters.

    >>> print(plain("see <b>[this](http://x)</b> of max_length"))
    see \\<b\\>\\[this\\](http\\://x)\\</b\\> of max_length
    """
    escaped = _SPECIAL.sub(r"\\\1", clean(text).replace("\t", " "))
    return _BEGINS.sub(r"\1\\\2", escaped)


def line(text: str) -> str:
    """The same on one line."""
    return plain(" ".join(text.split()))


def code(text: str) -> str:
    """A code span of any text: the fence is longer than every run of backticks inside."""
    text = " ".join(clean(text).split())
    if not text:
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def block(text: str, language: str = "") -> str:
    """A fenced block of any text."""
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    return f"{fence}{language}\n{clean(text).rstrip()}\n{fence}"


#: a `|` that would end a cell
_PIPE = re.compile(r"(?<!\\)((?:\\\\)*)\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with columns of one width; a column that is empty throughout is left out."""
    rows = [[_PIPE.sub(r"\1\\|", cell) for cell in row] for row in rows]
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    rows = [[head[i] for i in kept], *([row[i] for i in kept] for row in rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(kept))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(c.ljust(w) for c, w in zip(row, widths, strict=True))} |" for row in rows)


def page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", *filter(None, parts)]) + "\n"
