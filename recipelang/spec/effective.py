"""The fully evaluated recipe as text: no parameters, no lets; running it again is the same run."""

from __future__ import annotations

import re
from collections.abc import Mapping

from recipelang.kinds.plain import Reference
from recipelang.kinds.tensors import Pattern, as_selector
from recipelang.kinds.text import LEVELS, show, string
from recipelang.source import Diagnostics
from recipelang.spec.blocks import Spec
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.figures import Figure, is_figure, read
from recipelang.spec.operators import COMPARISONS
from recipelang.spec.recipe import Claim, Recipe
from recipelang.syntax import tree as t
from recipelang.syntax.tokens import KEYWORDS
from recipelang.values import selector as sel
from recipelang.values.composite import Between, Poison, Tolerance
from recipelang.values.quantities import Quantity, Rate, Time


def effective(recipe: Recipe, paths: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None) -> str:
    """Recipe text. `paths`: local references as written -> how they are found from anywhere; `params`: -> a name."""
    printer = _Printer(paths or {}, params or {})
    lines = [f"## {line}".rstrip() for line in recipe.doc.split("\n") if recipe.doc]
    lines += [f"recipe {recipe.version} {string(recipe.name)}", ""]
    lines += printer.block("meta", recipe.meta, 0, skip_defaults=True)
    lines += [f"seed = {recipe.seed}", ""]
    lines += printer.block("model", recipe.model, 0)
    for label, data in recipe.data.items():
        inner = [line for m in data.mixes for line in printer.block(f"mix {_label(m.name)}", m, 1)]
        lines += printer.block(f"data {_label(label)}" if label else "data", data, 0, inner)
    for stage in recipe.stages:
        inner = [line for p in stage.prunes for line in printer.block(f"prune {_label(p.name)}", p, 1)]
        inner += [line for d in stage.distills for line in printer.block("distill", d, 1)]
        inner += [line for f in stage.freezes for line in printer.block(f"freeze {_label(f.name)}", f, 1)]
        inner += [line for g in stage.groups for line in printer.block(f"group {_label(g.name)}", g, 1)]
        inner += [line for d in stage.drops for line in printer.block(f"drop {_label(d.name)}", d, 1)]
        inner += [line for s in stage.shrinks for line in printer.block(f"shrink {_label(s.name)}", s, 1)]
        inner += [line for a in stage.adapters for line in printer.block(f"adapter {_label(a.name)}", a, 1)]
        lines += printer.block(f"stage {_label(stage.name)}", stage, 0, inner)
    for evaluation in recipe.evaluations:
        lines += printer.block(f"evaluate {_label(evaluation.name)}", evaluation, 0)
    for harness in recipe.harnesses:
        lines += printer.block(f"harness {_label(harness.name)}", harness, 0)
    lines += printer.block("export", recipe.export, 0)
    if recipe.track is not None:
        lines += printer.block("track", recipe.track, 0)
    for claim in (*recipe.requires, *recipe.claims):
        message = f", {string(claim.message)}" if claim.message else ""
        lines.append(f"{claim.kind} {claim_text(recipe, claim)}{message}")
    return "\n".join(lines).rstrip("\n") + "\n"


def shown(spec: Spec, name: str) -> str:
    """One attribute's value, as it would be written."""
    value = getattr(spec, name)
    if value is None:
        return "none"
    if value == "":
        return '""'
    return spec.attributes()[name].kind.text(value)


class _Printer:
    def __init__(self, paths: Mapping[str, str], params: Mapping[str, str]) -> None:
        self.paths = paths
        self.params = params

    def block(
        self, header: str, spec: Spec, depth: int, inner: list[str] | None = None, *, skip_defaults: bool = False
    ) -> list[str]:
        pad = "  " * depth
        lines: list[str] = []
        for name, attribute in spec.attributes().items():
            value = getattr(spec, name)
            default = type(spec).model_fields[name].default
            if value == default and (skip_defaults or value in (None, "", ())):
                continue
            if isinstance(value, str) and isinstance(attribute.kind, Reference):
                shown = self.params.get(value) or string(self.paths.get(value, value))
            else:
                shown = attribute.kind.text(value).replace("\n", f"\n{pad}  ")
            lines.append(f"{pad}  {name} = {shown}")
        if columns := getattr(spec, "columns", ()):
            lines.append(f"{pad}  columns {{ " + ", ".join(f"{k} = {string(v)}" for k, v in columns) + " }")
        if inner:
            lines += ["", *inner[:-1]]
        return [f"{pad}{header} {{", *lines, f"{pad}}}", ""] if lines else []


_NO_CHAIN = (4, 8)


def _label(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name not in KEYWORDS else string(name)


def claim_text(recipe: Recipe, claim: Claim) -> str:
    """A claim with parameters and lets replaced by their values."""
    return ClaimParts(recipe, claim).text(claim.condition, 0)


class ClaimParts:
    """What in a claim is known before the run, and the rest as text."""

    def __init__(self, recipe: Recipe, claim: Claim) -> None:
        self.measured = claim.kind != "require"
        self.outline = recipe.outline
        base = recipe.evaluator
        self.definitions = base.definitions
        # quiet: every mistake of a claim was reported when it was checked
        self.evaluator = Evaluator(recipe.source, Diagnostics(), base.definitions, _values=base._values)

    def constant(self, node: t.Expr) -> bool:
        """Nothing in it is measured."""
        if not self.measured:
            return True
        stack: list[t.Expr] = [node]
        while stack:
            match stack.pop():
                case t.Call():
                    return False
                case t.Path() as path if len(path.names) > 1:
                    return False
                case t.Binary() as n:
                    stack += [n.left, n.right]
                case t.Unary() as n:
                    stack.append(n.operand)
                case t.If() as n if self.constant(n.condition):
                    stack.append(self.branch(n))
                case t.If():
                    return False
                case t.ListOf() as n:
                    stack += n.items
        return True

    def known(self, node: t.Expr) -> bool:
        """Constant, and it has a value: a part that no run reaches may divide by nought."""
        return self.constant(node) and not isinstance(self.evaluator.value(node), Poison)

    def reached(self, node: t.Expr) -> t.Expr:
        """Without the sides that decide nothing in a requirement: nobody has read those."""
        while isinstance(node, t.Binary) and node.operator in ("and", "or"):
            if self.measured or not isinstance(self.evaluator.value(node.right), Poison):
                break
            node = node.left
        return node

    def branch(self, node: t.If) -> t.Expr:
        """The side that a condition known before the run decides for."""
        return node.then if self.evaluator.value(node.condition) is True else node.other

    def selector(self, argument: t.Argument) -> sel.Selector:
        """What a measured function measures."""
        return as_selector(self.evaluator.value(argument.value))

    def figure(self, node: t.Call) -> Figure:
        """What a figure of size or speed is of, with every setting."""
        found = read(node, self.evaluator, self.outline.stages, self.outline.formats)
        assert isinstance(found, Figure)
        return found

    def settled(self, node: t.Expr) -> bool | None:
        """The truth of a comparison of names and the like: without its parameter, it could not be written."""
        if not isinstance(node, t.Binary) or node.operator not in (*COMPARISONS, "in") or not self.constant(node):
            return None
        if all(_stays(self.evaluator.value(side)) for side in (node.left, node.right)):
            return None
        value = self.evaluator.value(node)
        return value if isinstance(value, bool) else None

    def text(self, node: t.Expr, level: int) -> str:
        node = self.reached(node)
        settled = self.settled(node)
        if settled is not None:
            return "true" if settled else "false"
        match node:
            case t.Binary(operator="+" | "-" | "*" | "/" | "per") | t.Unary(operator="-") if self.known(node):
                return self._shown(node, level)
            case t.Binary() if node.operator in LEVELS:
                own = LEVELS[node.operator]
                # comparisons and the like do not chain; the others lean to the left
                left = self.text(node.left, own + (_NO_CHAIN[0] <= own <= _NO_CHAIN[1]))
                right = self.text(node.right, own + 1)
                text = f"{left}..{right}" if node.operator == ".." else f"{left} {node.operator} {right}"
            case t.Unary():
                own, word = (3, "not ") if node.operator == "not" else (13, node.operator)
                text = word + self.text(node.operand, own)
            case t.If():
                if self.constant(node.condition):
                    return self.text(self.branch(node), level)
                own = 0
                parts = (self.text(n, 1) for n in (node.condition, node.then, node.other))
                text = "if {} then {} else {}".format(*parts)
            case t.Call():
                if node.function.text == "layers":
                    return sel.text(as_selector(self.evaluator.value(node)))
                if node.function.text == "block":
                    return show(Pattern().read(self.evaluator.value(node)))
                if is_figure(node):
                    return self.figure(node).text
                arguments = ", ".join(sel.text(self.selector(a)) for a in node.arguments)
                return f"{node.function.text}({arguments})"
            case t.ListOf():
                return f"[{', '.join(self.text(item, 0) for item in node.items)}]"
            case t.Path() if len(node.names) > 1 or node.names[0] not in self.definitions:
                return node.text
            case t.Path():
                return self._shown(node, level)
            case _:
                return show(self.evaluator.value(node))
        return f"({text})" if own < level else text

    def _shown(self, node: t.Expr, level: int) -> str:
        shown = show(self.evaluator.value(node))
        return f"({shown})" if level and re.search(r" [-+*/|&.>±]|except|^-", shown) else shown


def _stays(value: object) -> bool:
    """Numbers, truths and selectors are compared as they stand."""
    match value:
        case tuple():
            return all(map(_stays, value))
        case Between(low, high) | Tolerance(low, high):
            return _stays(low) and _stays(high)
    return isinstance(value, (bool, Quantity, Time, Rate, Poison, *sel.NODES))
