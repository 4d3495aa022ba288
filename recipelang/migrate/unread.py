"""Modifiers that stand where none is read: told, because nobody would look for them there."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from recipelang.migrate.nodes import List, Map, Node, plain
from recipelang.source import Source, Span

_ENDING = "Modifier"


def tag_span(source: Source, node: Node) -> Span:
    """Where the tag of a node stands."""
    tag = "!" + plain(node).tag
    start = node.span.start + max(source.slice(node.span).find(tag), 0)
    return Span(start, start + len(tag))


def unread(source: Source, root: Node, read: Collection[Span], beside: Collection[str]) -> Iterator[tuple[str, Span]]:
    """Names and places of what is called a modifier below `root`, outside of `read` and of the keys `beside`."""
    seen: set[int] = set()
    todo: list[Node] = [root]
    while todo:
        here = plain(todo.pop())
        if id(here) in seen:
            continue
        seen.add(id(here))
        if here.tag.endswith(_ENDING):
            if (place := tag_span(source, here)) not in read:
                yield here.tag, place
        elif isinstance(here, List):
            todo += here.items
        elif isinstance(here, Map):
            for entry in here.entries:
                if entry.key.endswith(_ENDING):
                    if entry.at not in read:
                        yield entry.key, entry.at
                elif here is not plain(root) or entry.key not in beside:
                    todo.append(entry.value)
