"""Every code that can appear, from its page in `pages/`: the first line is its title."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def codes() -> tuple[str, ...]:
    folder = files("recipelang.source") / "pages"
    return tuple(sorted(f.name.removesuffix(".md") for f in folder.iterdir() if f.name.endswith(".md")))


def page(code: str) -> str | None:
    """The page of a code as Markdown, or none."""
    if code not in codes():
        return None
    return (files("recipelang.source") / "pages" / f"{code}.md").read_text("utf-8").rstrip()
