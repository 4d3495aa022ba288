"""L070: a parameter or let that nothing uses."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.lint.subject import Finding, Subject
from recipelang.lint.walk import blocks, names
from recipelang.source.suggest import closest
from recipelang.syntax import tree as t

CODE, NAME, LEVEL, NEEDS = "L070", "unused-definition", "info", "tree"


def check(it: Subject) -> Iterator[Finding]:
    if not blocks(it.tree, "stage"):
        return  # a library: others use what it defines
    used = {s: names(s) for s in it.tree.statements}
    for node in it.tree.statements:
        if not isinstance(node, t.Param | t.Let) or any(node.name in n for s, n in used.items() if s is not node):
            continue
        word = "param" if isinstance(node, t.Param) else "let"
        yield Finding(node.name_span, f"{word} `{node.name}` is not used", _help(it, node.name, word))


def _help(it: Subject, name: str, word: str) -> str:
    """An attribute of its name is the most likely place."""
    attributes = {
        a.name for b in it.tree.statements if isinstance(b, t.Block) for a in b.body if isinstance(a, t.Attribute)
    }
    if (near := closest(name, attributes)) or name in attributes:
        return f"use it, as in `{near or name} = {name}`, or remove it"
    return "remove it: setting it with `-p` changes nothing" if word == "param" else "remove it"
