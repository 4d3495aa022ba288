"""Where values come from, on the screen: one value with all that it is made of, or every value on a line."""

from __future__ import annotations

from collections.abc import Iterator

from recipelang.source.render import line_of
from recipelang.spec.trace import Link, Trace

#: where the places begin in the list of all values, at most
WIDTH = 72


def listed(every: list[Trace]) -> Iterator[str]:
    width = min(WIDTH, max((len(_head(one)) for one in every), default=0))
    for one in every:
        yield f"{_head(one):<{width}}  # {_from(one.links[-1])}"


def lines(found: Trace, indent: str) -> Iterator[str]:
    yield f"{indent}{_head(found)}"
    width = max(len(link.place) for link in found.links)
    for link in found.links:
        text = line_of(f"{link.place:<{width}}  {link.text}").strip()
        yield f"{indent}  {text}{'   (replaced)' if link.replaced else ''}"
    for used in found.uses:
        yield from lines(used, f"{indent}    ")


def _head(found: Trace) -> str:
    value = "?" if found.value is None else " ".join(found.value.split())
    return line_of(f"{found.path} = {value}")


def _from(link: Link) -> str:
    return line_of(link.place or link.text)
