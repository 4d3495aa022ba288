"""L061: a regular expression that says no more than a glob."""

from __future__ import annotations

import re
from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.planning.match import leaves
from recipelang.source import Edit, Fix
from recipelang.values import selector as sel

CODE, NAME, LEVEL, NEEDS = "L061", "regex-for-glob", "warn", "recipe"
_PART = re.compile(
    r"(?P<any>\.\*)|(?P<part>\[\^\\?\.\]\*)|(?P<dot>\\\.)|(?P<bare>\.)|\((?:\?:)?(?P<of>\w+(?:\|\w+)+)\)|(?P<word>\w+)"
)


def check(it: Subject) -> Iterator[Finding]:
    for stage in it.recipe.stages:
        for prune in stage.prunes:
            for name in ("targets", "never"):
                selector = getattr(prune, name)
                for leaf in leaves(selector) if selector else ():
                    if isinstance(leaf, sel.Regex) and (found := glob_of(leaf.pattern)):
                        path = f"stage.{stage.name}.prune.{prune.name}.{name}"
                        yield Finding(
                            leaf.span or path,
                            "a glob can replace this regular expression",
                            f'write `"{found[0]}"`',
                            _fix(leaf, *found),
                        )


def glob_of(pattern: str) -> tuple[str, bool] | None:
    """The glob that a regular expression amounts to, and whether it matches exactly the same.

    >>> glob_of(r"bert\\.encoder\\..*\\.(query|key)\\.weight")
    ('bert.encoder.**.{query,key}.weight', True)
    >>> glob_of("bert.encoder.*"), glob_of("layer[0-5]")
    (('bert.encoder**', False), None)
    """
    pattern = pattern.removeprefix("^").removesuffix("$")
    pieces, at, exact = [], 0, True
    while at < len(pattern):
        found = _PART.match(pattern, at)
        if found is None:
            return None
        if found.lastgroup == "word" and pattern[found.end() : found.end() + 1] in ("?", "+", "*", "{"):
            return None
        exact = exact and found.lastgroup != "bare"
        pieces.append(_piece(found))
        at = found.end()
    return "".join(pieces), exact


def _piece(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "any":
            return "**"
        case "part":
            return "*"
        case "dot" | "bare":
            return "."
        case "of":
            return "{" + found["of"].replace("|", ",") + "}"
    return found[0]


def _fix(leaf: sel.Regex, glob: str, exact: bool) -> Fix | None:
    """Safe where both match the same names; a bare `.` stands for any character, and was seldom meant to."""
    if leaf.span is None:
        return None
    return Fix("write a glob", (Edit(leaf.span, f'"{glob}"'),), "safe" if exact else "unsafe")
