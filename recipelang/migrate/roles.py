"""A set of tensors as roles, when the roles select exactly the same on the family's reference model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from recipelang.planning.families import TensorFact

#: one word each for what a layer's matrices are
_PARTS = ("query", "key", "value", "out", "gate", "up", "down")
_ATTENTION = frozenset({"query", "key", "value", "out"})
#: more terms than these are no easier to read than names
_TERMS = 12


def as_roles(chosen: frozenset[str], tensors: tuple[TensorFact, ...]) -> str | None:
    """The shortest of what fits; none where no roles do. A router is pruned only where it is named."""
    if routers := _having(tensors, "router"):
        rest = as_roles(chosen - routers, tuple(t for t in tensors if t.name not in routers))
        named = chosen & routers
        return None if rest is None or named not in (frozenset(), routers) else f"{rest} | @router" if named else rest
    for text, names in _simple(tensors):
        if names == chosen:
            return text
    return _by_layers(chosen, tensors)


def as_parts(chosen: frozenset[str], tensors: tuple[TensorFact, ...]) -> str | None:
    """Parts of a model with all that belongs to them, biases and norms; none where these do not fit."""
    if chosen == frozenset(t.name for t in tensors):
        return '"**"'
    terms: list[str] = []
    left = chosen
    for role in ("embeddings", "encoder", "decoder", "pooler", "head", "linear", "norm", "bias"):
        names = _having(tensors, role)
        if names and names <= chosen and names & left:
            terms.append(f"@{role}")
            left -= names
    layers = sorted({t.layer for t in tensors if t.name in left and t.layer is not None})
    whole = [i for i in layers if frozenset(t.name for t in tensors if t.layer == i) <= chosen]
    terms += [f"layers({a})" if a == b else f"layers({a}..{b})" for a, b in _runs(whole)]
    left -= frozenset(t.name for t in tensors if t.layer in whole)
    return " | ".join(terms) if terms and not left else None


def _simple(tensors: tuple[TensorFact, ...]) -> Iterator[tuple[str, frozenset[str]]]:
    linear = _having(tensors, "linear")
    for body in ("encoder", "decoder"):
        if part := _having(tensors, body) & linear:
            yield f"@linear & @{body}", part
    yield "@linear", linear
    yield "@linear except @head", linear - _having(tensors, "head")
    yield "@linear | @embeddings", linear | _having(tensors, "embeddings")
    if experts := _having(tensors, "experts"):
        yield "@attention", linear & _having(tensors, "attention")
        yield "@experts", experts
        yield "@ffn", linear & _having(tensors, "ffn")
        yield "@linear except (@experts | @head)", linear - experts - _having(tensors, "head")
    yield "@embeddings", _having(tensors, "embeddings")
    yield "@head", _having(tensors, "head")


def _having(tensors: tuple[TensorFact, ...], role: str) -> frozenset[str]:
    return frozenset(t.name for t in tensors if role in t.roles)


def _by_layers(chosen: frozenset[str], tensors: tuple[TensorFact, ...]) -> str | None:
    """Layers that lose the same parts are one term: `(@query | @key) & layers(0..5)`."""
    depth = 1 + max((t.layer for t in tensors if t.layer is not None), default=-1)
    parts: dict[int, set[str]] = defaultdict(set)
    terms: list[str] = []
    for tensor in tensors:
        if tensor.name not in chosen:
            continue
        if tensor.layer is not None and (found := {p for p in _PARTS if p in tensor.roles}):
            parts[tensor.layer] |= found  # one matrix may be several
        elif "head" in tensor.roles and _having(tensors, "head") <= chosen:
            terms.append("@head")
        else:
            return None
    taken = {t.name for t in tensors if t.layer is not None and t.roles & parts.get(t.layer, set())}
    if taken != {t.name for t in tensors if t.name in chosen and t.layer is not None}:
        return None  # some of several that have a role, as single experts
    alike: dict[frozenset[str], list[int]] = defaultdict(list)
    for layer, found in sorted(parts.items()):
        alike[frozenset(found)].append(layer)
    every = frozenset(p for p in _PARTS if any(p in t.roles for t in tensors))
    body = next((b for b in ("encoder", "decoder") if _having(tensors, b)), None)
    for found_, layers in alike.items():
        terms += _term(found_, every, layers, depth, body)
    terms = list(dict.fromkeys(terms))
    return " | ".join(terms) if 0 < len(terms) <= _TERMS else None


def _term(parts: frozenset[str], every: frozenset[str], layers: list[int], depth: int, body: str | None) -> list[str]:
    runs = _runs(layers)
    where = [] if layers == list(range(depth)) else [f"layers({a})" if a == b else f"layers({a}..{b})" for a, b in runs]
    what = _what(parts, every)
    if not where:
        return [f"{what} & @{body}"] if what == "@linear" and body else [what]
    at = where[0] if len(where) == 1 else f"({' | '.join(where)})"
    return [f"({what}) & {at}" if " | " in what else f"{what} & {at}"]


def _what(parts: frozenset[str], every: frozenset[str]) -> str:
    """Parts of a layer. A role also takes biases along, which are not pruned."""
    attention = _ATTENTION & every
    if parts == every:
        return "@linear"
    if parts == attention:
        return "@attention"
    if parts == every - attention:
        return "@ffn"
    if parts > attention:
        rest = [f"@{p}" for p in _PARTS if p in parts - attention]
        return " | ".join(["@attention", *rest])
    return " | ".join(f"@{p}" for p in _PARTS if p in parts)


def _runs(layers: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for layer in layers:
        if runs and runs[-1][1] == layer - 1:
            runs[-1] = (runs[-1][0], layer)
        else:
            runs.append((layer, layer))
    return runs
