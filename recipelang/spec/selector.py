"""Selectors: which tensors of a model are meant. Frozen data; matching is `plan.match`'s."""

from __future__ import annotations

from dataclasses import dataclass, field

from recipelang.source import Span

#: the roles of the language, whether or not a model has tensors of them
ROLES = (
    *("linear", "embeddings", "encoder", "decoder", "head", "pooler", "norm", "bias", "router"),
    *("attention", "query", "key", "value", "out", "ffn", "up", "down", "gate"),
)


@dataclass(frozen=True)
class _Node:
    span: Span | None = field(default=None, compare=False, kw_only=True)


@dataclass(frozen=True)
class Role(_Node):
    """`@linear`: what a tensor is for, whatever the family calls it."""

    name: str


@dataclass(frozen=True)
class Glob(_Node):
    """Dotted names: `*` one segment, `**` any number, `{a,b}`, `{0..11}`."""

    pattern: str


@dataclass(frozen=True)
class Regex(_Node):
    """`re"…"`, matched against the whole name."""

    pattern: str


@dataclass(frozen=True)
class Layers(_Node):
    """`layers(first..last)`, both included; -1 is the last layer."""

    first: int
    last: int


@dataclass(frozen=True)
class And(_Node):
    items: tuple[Selector, ...]


@dataclass(frozen=True)
class Or(_Node):
    items: tuple[Selector, ...]


@dataclass(frozen=True)
class Not(_Node):
    item: Selector


@dataclass(frozen=True)
class Except(_Node):
    left: Selector
    right: Selector


Selector = Role | Glob | Regex | Layers | And | Or | Not | Except

# precedence, loose to tight
_EXCEPT, _OR, _AND, _UNARY = range(4)


def text(selector: Selector) -> str:
    """The selector as it is written in a recipe, with the parentheses it needs."""
    return _text(selector, _EXCEPT)


def _text(node: Selector, level: int) -> str:
    match node:
        case Role():
            return f"@{node.name}"
        case Glob():
            return '"' + node.pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case Regex():
            return 're"' + node.pattern.replace('"', '\\"') + '"'
        case Layers():
            return f"layers({node.first})" if node.first == node.last else f"layers({node.first}..{node.last})"
        case And():
            own, shown = (
                _AND,
                " & ".join(_text(i, _UNARY) if not isinstance(i, And) else _text(i, _AND) for i in node.items),
            )
        case Or():
            own, shown = _OR, " | ".join(_text(i, _AND) if not isinstance(i, Or) else _text(i, _OR) for i in node.items)
        case Not():
            return f"!{_text(node.item, _UNARY)}"
        case Except():
            own, shown = _EXCEPT, f"{_text(node.left, _OR)} except {_text(node.right, _OR)}"
    return f"({shown})" if own < level or (level == _UNARY and own < _UNARY) else shown


def canonical(selector: Selector) -> object:
    """JSON-able and the same for equal meanings that differ only in order or repetition of `&` and `|`."""
    match selector:
        case Role():
            return {"role": selector.name}
        case Glob():
            return {"glob": selector.pattern}
        case Regex():
            return {"regex": selector.pattern}
        case Layers():
            return {"layers": [str(selector.first), str(selector.last)]}
        case Not():
            return {"not": canonical(selector.item)}
        case Except():
            return {"except": [canonical(selector.left), canonical(selector.right)]}
    word = "and" if isinstance(selector, And) else "or"
    return {word: sorted(_flat(selector, type(selector)), key=repr)}


def _flat(node: Selector, kind: type) -> list[object]:
    if isinstance(node, kind):
        every = (x for item in node.items for x in _flat(item, kind))  # type: ignore[union-attr]
        return list({repr(x): x for x in every}.values())
    return [canonical(node)]
