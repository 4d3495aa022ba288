"""Selectors: which tensors of a model are meant. Frozen data; matching is `plan.match`'s."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import field

from recipelang.source import Span
from recipelang.source.frozen import frozen

#: the roles of the language, and what they mean in every family, whether or not a model has such tensors
ROLES: dict[str, str] = {
    "linear": "weight matrices of linear layers in all parts of the model",
    "embeddings": "word, position and segment embeddings, and their norm",
    "encoder": "all tensors in the layers of an encoder",
    "decoder": "all tensors in the layers of a decoder",
    "head": "output layers: from hidden states to answers, classes or words",
    "pooler": "layer between the first token and the classifier",
    "norm": "weights and biases of normalisation layers",
    "attention": "attention block of a layer",
    "ffn": "feed-forward block of a layer",
    "bias": "biases of linear layers",
    "query": "query projection",
    "key": "key projection",
    "value": "value projection",
    "out": "output projection of attention",
    "up": "projection to the feed-forward width",
    "down": "projection from the feed-forward width",
    "gate": "gate projection of a gated feed-forward block",
    "experts": "experts of a mixture, without shared experts",
    "router": "router of a mixture of experts; pruned only if named",
}


@frozen
class _Node:
    """What every selector has: its place, which takes no part in equality."""

    span: Span | None = field(default=None, compare=False, kw_only=True)


@frozen
class Role(_Node):
    """`@linear`: tensors by role, whatever their names in the model family."""

    name: str


@frozen
class Glob(_Node):
    """`"bert.encoder.layer.{0..5}.**"`: tensors by name; `*` matches one part, `**` any number of parts, `?` one character, `{a,b}` one of several."""

    pattern: str


@frozen
class Regex(_Node):
    """`re".*\\.weight"`: tensors whose whole name matches this regular expression (RE2)."""

    pattern: str


@frozen
class Layers(_Node):
    """`layers(0..5)`: all tensors of these layers, both ends included; -1 is the last layer."""

    first: int
    last: int


@frozen
class And(_Node):
    """`@linear & @encoder`: tensors in both."""

    items: tuple[Selector, ...]


@frozen
class Or(_Node):
    """`@embeddings | @head`: tensors in either."""

    items: tuple[Selector, ...]


@frozen
class Not(_Node):
    """`!@norm`: all other tensors."""

    item: Selector


@frozen
class Except(_Node):
    """`@linear except @head`: tensors in the first but not in the second."""

    left: Selector
    right: Selector


Selector = Role | Glob | Regex | Layers | And | Or | Not | Except
NODES = (Role, Glob, Regex, Layers, And, Or, Not, Except)


def inside(selector: Selector) -> Iterator[Selector]:
    """It, and every selector in it."""
    yield selector
    parts = {And: "items", Or: "items", Not: "item", Except: "left right"}.get(type(selector), "")
    for name in parts.split():
        part = getattr(selector, name)
        for item in part if isinstance(part, tuple) else (part,):
            yield from inside(item)


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
    """JSON-able, with the signs of the language; the same for equal meanings that differ in order or repetition only."""
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
            return {"!": canonical(selector.item)}
        case Except():
            return {"except": [canonical(selector.left), canonical(selector.right)]}
    return joined("&" if isinstance(selector, And) else "|", [canonical(item) for item in selector.items])


def joined(sign: str, forms: Iterable[object]) -> object:
    """An operator whose order and repetition mean nothing: flat, sorted, each operand once; of one, the operand.

    >>> joined("&", [{"role": "b"}, {"&": [{"role": "b"}, {"role": "a"}]}])
    {'&': [{'role': 'a'}, {'role': 'b'}]}
    """
    flat = (x for form in forms for x in (form[sign] if isinstance(form, dict) and sign in form else [form]))
    items = list({to_json(form): form for form in sorted(flat, key=to_json)}.values())
    return items[0] if len(items) == 1 else {sign: items}


def to_json(form: object) -> str:
    """The one way of writing a form: keys by code point, no white space."""
    return json.dumps(form, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
