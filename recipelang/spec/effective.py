"""The fully evaluated recipe as text: no parameters, no lets; running it again is the same run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from recipelang.spec.blocks import Spec
from recipelang.spec.check import Claim, Recipe
from recipelang.spec.show import fraction, percent, schedule, show, string, time
from recipelang.syntax import tree as t
from recipelang.values.composite import Poison, Schedule, Symbol
from recipelang.values.quantities import Time

_BARE = ("task", "dtype", "mode", "precision", "compare", "order")
_RATIOS = ("dropout", "attention_dropout")
_UNITS = {"max_length": "tokens", "stride": "tokens", "samples": "samples", "max_shard": "B"}


def effective(recipe: Recipe, paths: Mapping[str, str] | None = None) -> str:
    """Recipe text. `paths`: local references as written -> how they are found from anywhere."""
    printer = _Printer(paths or {})
    lines = [f"recipe {recipe.version} {string(recipe.name)}", ""]
    lines += [f"## {line}" for line in recipe.doc.split("\n") if recipe.doc]
    lines += printer.block("meta", recipe.meta, 0, skip_defaults=True)
    lines += [f"seed = {recipe.seed}", ""]
    lines += printer.block("model", recipe.model, 0)
    for label, data in recipe.data.items():
        lines += printer.block(f"data {label}".strip(), data, 0)
    for stage in recipe.stages:
        inner = [line for p in stage.prunes for line in printer.block(f"prune {p.name}", p, 1)]
        inner += [line for d in stage.distills for line in printer.block("distill", d, 1)]
        lines += printer.block(f"stage {stage.name}", stage, 0, inner)
    for evaluation in recipe.evaluations:
        lines += printer.block(f"evaluate {evaluation.name}", evaluation, 0)
    lines += printer.block("export", recipe.export, 0)
    for claim in (*recipe.requires, *recipe.claims):
        message = f", {string(claim.message)}" if claim.message else ""
        lines.append(f"{claim.kind} {claim_text(recipe, claim)}{message}")
    return "\n".join(lines).rstrip("\n") + "\n"


class _Printer:
    def __init__(self, paths: Mapping[str, str]) -> None:
        self.paths = paths

    def block(
        self, header: str, spec: Spec, depth: int, inner: list[str] | None = None, *, skip_defaults: bool = False
    ) -> list[str]:
        pad = "  " * depth
        lines: list[str] = []
        for name, attribute in spec.attributes().items():
            value = getattr(spec, name)
            if value is None and name != "clip":
                continue
            if value in ("", ()) or (skip_defaults and value == type(spec).model_fields[name].default):
                continue
            shown = self.value(name, value, "ratio" in attribute.kind.name).replace("\n", f"\n{pad}  ")
            lines.append(f"{pad}  {name} = {shown}")
        if columns := getattr(spec, "columns", ()):
            lines.append(f"{pad}  columns {{ " + ", ".join(f"{k} = {string(v)}" for k, v in columns) + " }")
        if inner:
            lines += ["", *inner[:-1]]
        return [f"{pad}{header} {{", *lines, f"{pad}}}", ""] if lines else []

    def value(self, name: str, value: object, ratio: bool) -> str:
        if isinstance(value, Schedule):
            return schedule(value, ratio)
        if isinstance(value, Fraction):
            return percent(value) if name in _RATIOS else fraction(value)
        if isinstance(value, int) and not isinstance(value, bool) and name in _UNITS:
            return f"{value} {_UNITS[name]}"
        if isinstance(value, str):
            return value if name in _BARE else string(self.paths.get(value, value))
        if name in ("on", "metrics", "formats") and isinstance(value, tuple):
            return "[" + ", ".join(map(str, value)) + "]"
        return time(value) if isinstance(value, Time) else show(value)


_LEVELS = {"or": 1, "and": 2, "not": 3, "±": 5, "->": 6, "..": 7, "except": 8, "|": 9, "&": 10}
_LEVELS |= dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 4)
_LEVELS |= {"+": 11, "-": 11, "*": 12, "/": 12}


def claim_text(recipe: Recipe, claim: Claim) -> str:
    """A claim with parameters and lets replaced by their values."""
    return _expr(recipe, claim.condition, 0)


def _expr(recipe: Recipe, node: t.Expr, level: int) -> str:
    match node:
        case t.Binary() if node.operator in _LEVELS:
            own = _LEVELS[node.operator]
            left, right = _expr(recipe, node.left, own), _expr(recipe, node.right, own + 1)
            text = f"{left}..{right}" if node.operator == ".." else f"{left} {node.operator} {right}"
        case t.Unary():
            own, word = (3, "not ") if node.operator == "not" else (13, node.operator)
            text = word + _expr(recipe, node.operand, own)
        case t.If():
            condition = recipe.evaluator.value(node.condition)
            return _expr(recipe, node.then if condition is True else node.other, level)
        case t.Call():
            parts = (_expr(recipe, a.value, 0) for a in node.arguments)
            return f"{node.function.text}({', '.join(parts)})"
        case t.Path():
            if len(node.names) > 1 or node.names[0] not in recipe.evaluator.definitions:
                return node.text
            value = recipe.evaluator.value(node)
            if isinstance(value, Poison | Symbol):
                return node.text
            shown = show(value)
            return f"({shown})" if level and re.search(r" [-+*/|&.>±]|except", shown) else shown
        case _:
            return show(recipe.evaluator.value(node))
    return f"({text})" if own < level else text
