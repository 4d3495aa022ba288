"""Every code that can appear, from its page in `pages/`: the first line is its title."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_PAGES = Path(__file__).with_name("pages")


@cache
def codes() -> tuple[str, ...]:
    return tuple(sorted(f.stem for f in _PAGES.glob("*.md")))


def page(code: str) -> str | None:
    """The page of a code as Markdown, or none."""
    if code not in codes():
        return None
    return (_PAGES / f"{code}.md").read_text("utf-8").rstrip()


def title(code: str) -> str:
    """The first line of a code's page, without the code."""
    return (page(code) or "").partition("\n")[0].partition(": ")[2]


@cache
def rule_names() -> dict[str, str]:
    """Name -> code of every lint rule, from the line of its page that begins "Rule `NAME`"."""
    found = {code: re.search(r"^Rule `([\w-]+)`", page(code) or "", re.MULTILINE) for code in codes() if code[0] == "L"}
    return {match[1]: code for code, match in found.items() if match}
