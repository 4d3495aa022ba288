"""The canonical form of an evaluated recipe, and its digests.

UTF-8 JSON, keys sorted, no white space, every number a string (an exact
decimal, else `p/q`), so comments, order, `let`s and spelling leave no trace.
`spec` covers the experiment with its claims; `behaviour` only what decides the
weights. Local models and data enter as the digest of their contents.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from fractions import Fraction

from recipelang.spec import selector as sel
from recipelang.spec.blocks import Spec
from recipelang.spec.check import Recipe
from recipelang.spec.effective import ClaimParts
from recipelang.spec.evaluate import COMPARISONS
from recipelang.spec.selector_kind import NODES, as_selector
from recipelang.syntax import tree as t
from recipelang.values.composite import (
    Between,
    Chosen,
    Schedule,
    ShapeSegment,
    SparsityPattern,
    StageRef,
    Symbol,
    Tolerance,
)
from recipelang.values.kinds import show_fraction
from recipelang.values.quantities import Quantity, Rate, Time

#: reference as written -> digest of the contents, for things that live on this machine
Identities = Mapping[str, str]


def digest(form: object) -> str:
    return "sha256:" + hashlib.sha256(to_json(form).encode("utf-8")).hexdigest()


def to_json(form: object) -> str:
    return json.dumps(form, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def spec_form(recipe: Recipe, identities: Identities) -> dict[str, object]:
    form = _form(recipe, identities, "bs")
    claims = [{c.kind: _claim(ClaimParts(recipe), c.condition)} for c in (*recipe.claims, *recipe.requires)]
    return {**form, "claims": _as_set(claims)}


def behaviour_form(recipe: Recipe, identities: Identities) -> dict[str, object]:
    form = _form(recipe, identities, "b")
    return {**form, "requires": _as_set(_claim(ClaimParts(recipe), c.condition) for c in recipe.requires)}


def _as_set(forms: Iterable[object]) -> list[object]:
    return list(dict(sorted((to_json(f), f) for f in forms)).values())


def _claim(parts: ClaimParts, node: t.Expr) -> object:
    """What is measured by name, everything else by value; comparisons keep their sides."""
    settled = parts.settled(node)
    if settled is not None:
        return settled
    match node:
        case t.Binary(operator="and" | "or") as n:
            sides = [n.left, n.right]
            while isinstance(inner := sides[0], t.Binary) and inner.operator == n.operator:
                sides[:1] = [inner.left, inner.right]
            return {n.operator: _as_set(_claim(parts, side) for side in sides)}
        case t.Unary(operator="not"):
            return {"not": _claim(parts, node.operand)}
        case t.Binary() if node.operator in (*COMPARISONS, "in") or not parts.known(node):
            return {node.operator: [_claim(parts, node.left), _claim(parts, node.right)]}
        case t.If() if parts.constant(node.condition):
            return _claim(parts, parts.branch(node))
        case t.If():
            return {"if": [_claim(parts, n) for n in (node.condition, node.then, node.other)]}
        case t.Call() if node.function.text == "layers":
            return sel.canonical(as_selector(parts.evaluator.value(node)))
        case t.Call():
            return {"measured": node.function.text, "of": [sel.canonical(parts.selector(a)) for a in node.arguments]}
        case t.ListOf():
            return [_claim(parts, item) for item in node.items]
        case t.Unary() if not parts.known(node):
            return {node.operator: _claim(parts, node.operand)}
        case t.Path() if len(node.names) > 1:
            return {"measured": node.text}
    return _value(parts.evaluator.value(node), {})


def spec_digest(recipe: Recipe, identities: Identities) -> str:
    return digest(spec_form(recipe, identities))


def behaviour_digest(recipe: Recipe, identities: Identities) -> str:
    return digest(behaviour_form(recipe, identities))


def _form(recipe: Recipe, identities: Identities, levels: str) -> dict[str, object]:
    def block(spec: Spec) -> dict[str, object]:
        return _block(spec, identities, levels)

    form: dict[str, object] = {
        "recipe": "1",
        "model": block(recipe.model),
        "data": {label: block(spec) for label, spec in recipe.data.items()},
        "stages": [_stage(s, identities, levels) for s in recipe.stages],
        "seed": str(recipe.seed),
    }
    if "s" in levels:
        form["evaluate"] = {e.name: block(e) for e in recipe.evaluations}
        form["export"] = block(recipe.export)
    return form


def _stage(stage: Spec, identities: Identities, levels: str) -> dict[str, object]:
    form = {"name": stage.name, **_block(stage, identities, levels)}  # type: ignore[attr-defined]
    form["prune"] = {p.name: _block(p, identities, levels) for p in stage.prunes}  # type: ignore[attr-defined]
    form["distill"] = [_block(d, identities, levels) for d in stage.distills]  # type: ignore[attr-defined]
    return form


def _block(spec: Spec, identities: Identities, levels: str) -> dict[str, object]:
    form = {
        name: _value(getattr(spec, name), identities)
        for name, attribute in spec.attributes().items()
        if attribute.digest in levels
    }
    if getattr(spec, "columns", ()):
        form["columns"] = dict(spec.columns)  # type: ignore[attr-defined]
    return form


def _value(value: object, identities: Identities) -> object:
    match value:
        case None | bool():
            return value
        case int():
            return str(value)
        case Fraction():
            return show_fraction(value)
        case str():
            return {"content": identities[value]} if value in identities else unicodedata.normalize("NFC", value)
        case Time():
            return {"epochs": show_fraction(value.epochs), "steps": show_fraction(value.steps)}
        case tuple():
            return [_value(v, identities) for v in value]
        case Quantity():
            number = show_fraction(value.value)
            return number if value.unit is None else {"n": number, "u": value.unit}
        case Rate():
            return {"n": show_fraction(value.value), "u": "1/epoch"}
        case Symbol():
            return value.name
        case Between():
            return {"..": [_value(value.low, identities), _value(value.high, identities)]}
        case Tolerance():
            return {"±": [_value(value.value, identities), _value(value.tolerance, identities)]}
        case StageRef():
            return {"stage": value.name}
        case SparsityPattern():
            return [value.kind, str(value.a), str(value.b)]
        case Chosen():
            return {value.name: {n: _value(v, identities) for n, v in value.arguments}}
        case Schedule():
            return [_segment(s, identities) for s in value.segments]
    assert isinstance(value, NODES)
    return sel.canonical(value)


def _segment(value: ShapeSegment, identities: Identities) -> dict[str, object]:
    form: dict[str, object] = {"shape": value.shape, "from": show_fraction(value.start), "to": show_fraction(value.end)}
    for name in ("window", "every", "rewind", "power"):
        part = getattr(value, name)
        if part is not None:
            form[name] = _value(part, identities)
    return form
