"""Selectors against the names and roles of a model."""

from __future__ import annotations

import heapq
import re

from recipelang.kinds import globs
from recipelang.planning.facts import ModelFacts
from recipelang.planning.families import TensorFact
from recipelang.planning.types import Roleless
from recipelang.source import Diagnostic, RecipeError, fail
from recipelang.source.suggest import distance
from recipelang.source.words import listed
from recipelang.values import selector as s


def match(selector: s.Selector, facts: ModelFacts) -> tuple[str, ...]:
    """Names of the parameters meant, in the model's order."""
    chosen = _match(selector, facts)
    return tuple(t.name for t in facts.tensors if t.name in chosen)


def _match(selector: s.Selector, facts: ModelFacts) -> frozenset[str]:
    everything = frozenset(t.name for t in facts.tensors)
    match selector:
        case s.Role():
            return _role(selector, facts)
        case s.Glob():
            return _named(selector.pattern, facts)
        case s.Regex():
            return frozenset(n for n in everything if globs.regex(selector.pattern).fullmatch(n))
        case s.Layers():
            return _layers(selector, facts)
        case s.And():
            return frozenset.intersection(*(_match(i, facts) for i in selector.items))
        case s.Or():
            return frozenset.union(*(_match(i, facts) for i in selector.items))
        case s.Not():
            return everything - _match(selector.item, facts)
    return _match(selector.left, facts) - _match(selector.right, facts)


def _named(pattern: str, facts: ModelFacts) -> frozenset[str]:
    """Tensors by name. Of a model that is not one of transformers, a glob that names no tensor names modules: it means
    the tensors that these hold themselves. Elsewhere a module's name means nothing, and recipes keep their meaning.
    """
    glob = globs.glob(pattern)
    found = frozenset(t.name for t in facts.tensors if glob.fullmatch(t.name))
    if found or facts.family:
        return found
    return frozenset(t.name for t in facts.tensors if glob.fullmatch(t.name.rpartition(".")[0]))


def _role(role: s.Role, facts: ModelFacts) -> frozenset[str]:
    """A role of the language that this family lacks matches nothing: `never = @pooler` is fine anywhere."""
    return frozenset(t.name for t in facts.tensors if role.name in t.roles)


def _layers(layers: s.Layers, facts: ModelFacts) -> frozenset[str]:
    n = facts.layers
    first, last = (i + n if i < 0 else i for i in (layers.first, layers.last))
    if not (0 <= first < n and 0 <= last < n) or first > last:
        raise fail(
            "E073",
            f"`{s.text(layers)}` lies outside the model",
            help=f"it has layers 0..{n - 1}; -1 is the last",
        )
    return frozenset(t.name for t in facts.tensors if t.layer is not None and first <= t.layer <= last)


#: so many names, those that begin most like what is written, are compared letter by letter
_COMPARED = 200


def nearest(selector: s.Selector, facts: ModelFacts, n: int = 3) -> list[str]:
    """Names that a glob or regular expression may have meant."""
    written = [p.pattern for p in leaves(selector) if isinstance(p, s.Glob | s.Regex)]
    names = [t.name for t in facts.tensors if "bias" not in t.roles and t.name.rpartition(".")[2] != "bias"]
    if not written:
        return []
    plain = re.sub(r"[\\*?{}()\[\]|^$+]", "", written[0])
    begins = re.split(r"[\\*?{(\[|^$+]", written[0], maxsplit=1)[0]

    def begin(name: str) -> tuple[int, str]:
        return -_shared(begins, name), name

    def apart(name: str) -> tuple[int, int, str]:
        return -_shared(begins, name), distance(plain[:80], name[:80]), name

    return sorted(heapq.nsmallest(_COMPARED, names, begin), key=apart)[:n]


def _shared(a: str, b: str) -> int:
    """How many characters two names begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def leaves(selector: s.Selector) -> list[s.Selector]:
    match selector:
        case s.And() | s.Or():
            return [leaf for item in selector.items for leaf in leaves(item)]
        case s.Not():
            return leaves(selector.item)
        case s.Except():
            return leaves(selector.left) + leaves(selector.right)
    return [selector]


def prunable(selector: s.Selector, facts: ModelFacts) -> tuple[TensorFact, ...]:
    """What a selector means where weights are pruned or counted: matrices, and routers only where it names them."""
    unnamed = {t.name for t in facts.tensors if "router" in t.roles} - _named_routers(selector, facts)
    return tuple(t for t in matrices(match(selector, facts), facts) if t.name not in unnamed)


def _named_routers(selector: s.Selector, facts: ModelFacts) -> frozenset[str]:
    """What `@router`, a glob or a regular expression selects; what they take away is not named."""
    match selector:
        case s.And() | s.Or():
            return frozenset().union(*(_named_routers(i, facts) for i in selector.items))
        case s.Except():
            return _named_routers(selector.left, facts)
        case s.Role(name="router") | s.Glob() | s.Regex():
            return _match(selector, facts)
    return frozenset()


def nothing(selector: s.Selector, facts: ModelFacts, label: object) -> RecipeError:
    """E070, with what the selector may have meant."""
    if found := match(selector, facts):
        help = "only two-dimensional weights are pruned and counted: biases and norms are not"
        if matrices(found, facts):
            help = "routers are pruned and counted only where they are named: write `@router`"
        notes = (f"it selects {listed(found, 3)}",)
        message = f"`{s.text(selector)}` selects no matrix of this model"
        return RecipeError(Diagnostic("E070", message, label, notes=notes, help=(help,)))  # type: ignore[arg-type]
    near = nearest(selector, facts)
    roles = sorted({r for t in facts.tensors for r in t.roles} & s.ROLES.keys())
    help = (
        f"close matches: {', '.join(f'`{n}`' for n in near)}"
        if near
        else f"roles here: {', '.join(f'@{r}' for r in roles)}"
    )
    message = f"`{s.text(selector)}` matches nothing in this model"
    return RecipeError(Diagnostic("E070", message, label, help=(help,)))  # type: ignore[arg-type]


def matrices(names: tuple[str, ...], facts: ModelFacts) -> tuple[TensorFact, ...]:
    """Matrices and stacks of experts: biases and norms take no part in sparsity."""
    chosen = set(names)
    return tuple(t for t in facts.tensors if t.name in chosen and t.prunable)


#: roles that say where a matrix is, not what it is for
_PLACES = {"encoder", "decoder"}


def without_role(facts: ModelFacts) -> tuple[Roleless, ...]:
    """What no word tells apart: matrices of which only `@linear` speaks, those of which none does, and weights of more
    dimensions, which no method prunes."""
    found: dict[str, list[str]] = {}
    for tensor in facts.tensors:
        roles = tensor.roles - _PLACES
        if len(tensor.shape) < 2 or not roles <= {"linear"}:
            continue
        what = "linear" if roles else "none" if tensor.prunable else "unprunable"
        found.setdefault(what, []).append(tensor.name)
    return tuple(Roleless(what=w, tensors=len(found[w]), example=found[w][0]) for w in _WHATS if w in found)  # type: ignore[arg-type]


_WHATS = ("linear", "none", "unprunable")
