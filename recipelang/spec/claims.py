"""Claims: `expect` and `prefer` over measured values, and what each part of them came to.

Before the run a claim's names are checked; after it, they are looked up in what
was measured. A measured ratio is a ratio: `dev.f1 >= 84.9%`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

from recipelang.kinds.base import Mismatch
from recipelang.kinds.tensors import Pattern, Selector
from recipelang.kinds.text import show
from recipelang.source import Diagnostic, Diagnostics, Label, Source, Span
from recipelang.source.frozen import frozen
from recipelang.source.suggest import closest, instead
from recipelang.source.words import short_time, size_text
from recipelang.spec import figures as of_size
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.harness import HARNESS, HARNESS_METRICS
from recipelang.spec.metrics import MEASURES
from recipelang.spec.operators import COMPARISONS
from recipelang.spec.recipe import Claim, Outline, Recipe
from recipelang.syntax import tree as t
from recipelang.values import aliases, selector as sel
from recipelang.values.composite import POISON, Between, Poison, SparsityPattern, Tolerance
from recipelang.values.quantities import Quantity

#: the words that begin a claim: when each is judged, and what follows where it does not hold
CLAIMS = {
    "require": "before the run, on parameters and lets; if false, the recipe has an error (`E050`)",
    "expect": "after the run, on measured values; if false, the run ends with exit code 3 (`E090`) and keeps all output",
    "prefer": "after the run, on measured values; if false, there is a warning (`W102`)",
}

#: each takes one selector, and looks at its matrices in the final weights
FUNCTIONS = {
    "sparsity": "share of weights that are exactly zero, a ratio",
    "pattern": "pattern that all of them satisfy, such as `2:4` or `block(4, 1)`, else `unstructured`",
    "params": "number of weights, zeros included",
}

_KNOWN = {**HARNESS_METRICS, **MEASURES}
RATIO_METRICS = tuple(name for name, metric in _KNOWN.items() if metric.ratio)

#: how a measured value is named, in the terms of `metric_names`
PATHS = {
    "dev.f1": "metric `f1` of the block `evaluate dev` at the end of the run",
    "stage.dense.dev.f1": "the same metric after the stage `dense`",
    "dev.onnx.f1": "the same metric of the model as ONNX Runtime runs it; needs `formats = [safetensors, onnx]` in `export`",
    "dev.onnx_int8.f1": "the same in int8, with `quantize = int8`; `dev.openvino.f1` is the same in OpenVINO, "
    "`dev.compressed_tensors.perplexity` in what vLLM reads",
    "dev.dense.f1": "the same metric of the model that the run starts with; needs `compare = dense` in the block",
    "stage.dense.params": "what `params()` gives for the model that the stage `dense` left",
    "stage.dense.size": "bytes of the safetensors files of that model, which the run keeps in `stages/dense`",
    "stage.dense.flops": "what `flops()` gives for that model, over 1 text of 128 tokens",
    "base.params": "what `params()` gives for the model as it came, with the head of the task and before `drop layers`",
    "base.size": "bytes of the safetensors files of `base`",
    "base.flops": "what `flops()` gives for that model, over 1 text of 128 tokens",
}


class Measured(Protocol):
    """What a run has measured."""

    @property
    def metrics(self) -> Mapping[str, float]: ...

    @property
    def figures(self) -> Mapping[str, float]:
        """Of size and speed, by their texts."""

    @property
    def how(self) -> Mapping[str, str]:
        """Of figures that differ from machine to machine: where each was measured, and its interval."""

    def sparsity(self, selector: sel.Selector) -> Fraction | None: ...

    def parameters(self, selector: sel.Selector) -> int | None: ...

    def pattern(self, selector: sel.Selector) -> tuple[str, tuple[int, int]] | None: ...


@frozen
class Foreseen:
    """What a plan knows before anything is measured."""

    figures: Mapping[str, float]
    sizes: Mapping[str, int]  # matrix -> its weights
    selections: Mapping[str, Sequence[str]]
    metrics: Mapping[str, float]
    how: Mapping[str, str]

    def parameters(self, selector: sel.Selector) -> int | None:
        return sum(self.sizes[n] for n in self.selections[sel.text(selector)])

    def sparsity(self, selector: sel.Selector) -> Fraction | None:
        return None

    def pattern(self, selector: sel.Selector) -> tuple[str, tuple[int, int]] | None:
        return None


@frozen
class Verdict:
    """What a claim came to."""

    claim: Claim
    met: bool | None  # none: could not be measured
    expected: str
    measured: str
    diagnostic: Diagnostic | None


def metric_names(recipe: Outline | Recipe) -> list[str]:
    """Every measured path a claim may use."""
    outline = recipe.outline if isinstance(recipe, Recipe) else recipe
    names: list[str] = []
    for evaluation, (metrics, dense) in outline.metrics.items():
        for metric in metrics:
            names.append(f"{evaluation}.{metric}")
            names += [f"stage.{stage}.{evaluation}.{metric}" for stage in outline.stages]
            if dense:
                names.append(f"{evaluation}.dense.{metric}")
            names += [f"{evaluation}.{name}.{metric}" for name in outline.formats]
    names += [f"{HARNESS}.{name}.{metric}" for name in outline.harnesses for metric in HARNESS_METRICS]
    return names


def check_claims(recipe: Outline, diagnostics: Diagnostics) -> None:
    """Types and names of claims, before anything is run: every name gets a stand-in value."""
    names = metric_names(recipe)
    calls: list[str] = []  # no two stand-ins are equal: a difference of two measured values is not nought

    def stand_in(node: t.Path | t.Call) -> object:
        if isinstance(node, t.Path):
            if node.text in names:
                return _metric(node.text, 1 / (names.index(node.text) + 2))
            if (figure := of_size.of_path(node)) and (figure.base or figure.of in recipe.stages):
                return whole(figure, node.span)
            return _unknown(recipe.source, diagnostics, node, names, recipe.stages)
        return _call(recipe, diagnostics, node, share, whole)

    def share(name: str, selector: sel.Selector) -> Quantity:
        calls.append(name)
        return Quantity(Fraction(1, len(names) + len(calls) + 2), percent=name == "sparsity")

    def whole(figure: of_size.Figure, span: Span) -> Quantity:
        calls.append(figure.name)
        told.append((figure, Label(recipe.source, span)))
        return replace(figure.value(0), value=Fraction(1, len(names) + len(calls) + 2))

    for claim in recipe.claims:
        told: list[tuple[of_size.Figure, Label]] = []
        evaluator = recipe.evaluator.claims(stand_in)
        value = evaluator.value(claim.condition)
        if not isinstance(value, bool | Poison):
            at = Label(recipe.source, claim.condition.span)
            help = f"`{claim.kind}` takes a comparison, as in `{claim.kind} dev.f1 >= 85%`"
            diagnostics.say("E024", "a claim must be true or false", at, help=help)
        _visit_logic(claim.condition, evaluator)
        of_size.check_settings(told, evaluator)
    recipe.evaluator.count_no_more()  # the last that is checked of a recipe


def selectors(recipe: Recipe) -> list[tuple[sel.Selector, Span]]:
    """Every selector that a claim measures, and where the claim has it."""
    found: list[tuple[sel.Selector, Span]] = []

    def collect(node: t.Path | t.Call) -> object:
        if isinstance(node, t.Path):
            return Quantity(Fraction(1))

        def note(name: str, selector: sel.Selector) -> object:
            found.append((selector, node.arguments[0].value.span))
            return Quantity(Fraction(1))

        return _call(recipe, Diagnostics(), node, note)

    for claim in recipe.claims:
        quiet = recipe.evaluator.apart(Diagnostics(), collect)
        for node in t.inside(claim.condition):  # every call, whatever `and`, `or` and `if` decide
            if isinstance(node, t.Call):
                quiet.value(node)
    return found


def figures(recipe: Recipe) -> list[tuple[of_size.Figure, Span]]:
    """Every figure of size or speed that a claim names, each once, and where it is first named."""
    found: dict[of_size.Figure, Span] = {}
    for claim in recipe.claims:
        for node in t.inside(claim.condition):
            figure = of_size.of_path(node) if isinstance(node, t.Path) and not recipe.evaluator.defines(node) else None
            if isinstance(node, t.Call) and of_size.is_figure(node):
                read = _figure(recipe, Diagnostics(), node)
                figure = None if isinstance(read, Poison) else read
            if figure is not None:
                found.setdefault(figure, node.span)
    return [*found.items()]


def judge(recipe: Recipe, measured: Measured) -> tuple[Verdict, ...]:
    """Every claim against what was measured."""
    return tuple(_judge(recipe, claim, measured) for claim in recipe.claims)


def _judge(recipe: Recipe, claim: Claim, measured: Measured) -> Verdict:
    diagnostics = Diagnostics()

    def look_up(node: t.Path | t.Call) -> object:
        if isinstance(node, t.Path):
            if (of_model := of_size.of_path(node)) and (of_model.base or of_model.of in recipe.outline.stages):
                return figure(of_model, node.span)
            if node.text not in measured.metrics:
                return _unknown(recipe.source, diagnostics, node, list(measured.metrics))
            return _metric(node.text, measured.metrics[node.text])

        def function(name: str, selector: sel.Selector) -> object:
            if name == "params":
                return POISON if (n := measured.parameters(selector)) is None else Quantity(Fraction(n))
            if name == "pattern":
                kept = measured.pattern(selector)
                return POISON if kept is None else SparsityPattern(kept[0], *kept[1])
            share = measured.sparsity(selector)
            return POISON if share is None else Quantity(share, percent=True)

        return _call(recipe, diagnostics, node, function, figure)

    how: list[str] = []

    def figure(asked: of_size.Figure, span: Span) -> object:
        if asked.text not in measured.figures:
            diagnostics.say("E091", f"`{asked.text}` was not measured", Label(recipe.source, span))
            return POISON
        if asked.text in measured.how:
            how.append(measured.how[asked.text])
        return asked.value(measured.figures[asked.text])

    base = recipe.evaluator
    evaluator = base.apart(diagnostics, look_up)
    value = evaluator.value(claim.condition)
    expected, found = _sides(claim.condition, evaluator)
    if isinstance(value, Poison):
        first = next(iter(diagnostics), None)
        return Verdict(claim, None, expected, "not measurable", first)
    if value is True:
        return Verdict(claim, True, expected, found, None)
    code, message = ("E090", "expectation not met") if claim.kind == "expect" else ("W102", "preference not met")
    labels = explain_values(recipe.source, claim.condition, evaluator)
    note = ((claim.message,) if claim.message else ()) + tuple(dict.fromkeys(how))
    at = Label(recipe.source, claim.condition.span)
    return Verdict(claim, False, expected, found, Diagnostic(code, message, at, labels, notes=note))


def explain_values(source: Source, expr: t.Expr, evaluator: Evaluator) -> tuple[Label, ...]:
    """Power assertion: what each side of a comparison came to, under it."""
    labels: list[Label] = []
    stack = [expr]
    while stack:
        node = stack.pop(0)
        if isinstance(node, t.Binary) and (node.operator in COMPARISONS or node.operator == "in"):
            for side in (node.left, node.right):
                if not isinstance(side, t.Number | t.NM):
                    value = evaluator.value(side)
                    if not isinstance(value, Poison):
                        labels.append(Label(source, side.span, _shown(value, plain=_is_plain(node))))
        elif isinstance(node, t.Binary):
            stack += [node.left, node.right]
        elif isinstance(node, t.Unary):
            stack.append(node.operand)
        elif isinstance(node, t.If):
            stack.append(node.then if evaluator.value(node.condition) is True else node.other)
    return tuple(labels)


def _sides(expr: t.Expr, evaluator: Evaluator) -> tuple[str, str]:
    """`(expected, measured)` for the table of claims."""
    if isinstance(expr, t.Binary) and (expr.operator in COMPARISONS or expr.operator == "in"):
        left, right, plain = evaluator.value(expr.left), evaluator.value(expr.right), _is_plain(expr)
        sign = {"<=": "≤", ">=": "≥", "!=": "≠", "==": "="}.get(expr.operator, expr.operator)
        return (
            f"{sign} {'?' if isinstance(right, Poison) else _shown(right, plain=plain)}",
            "not measurable" if isinstance(left, Poison) else _shown(left, plain=plain),
        )
    return "true", _shown(evaluator.value(expr))


def _is_plain(expr: t.Expr) -> bool:
    """Whether a comparison is of values that are no ratios: 0.25 of them is no share."""
    names = [n.names[-1] for n in t.inside(expr) if isinstance(n, t.Path)]
    times = any(isinstance(n, t.Call) and of_size.is_figure(n) for n in t.inside(expr))
    return times or any(name in _KNOWN and not _KNOWN[name].ratio for name in names)


def _shown(value: object, *, plain: bool = False) -> str:
    if isinstance(value, Quantity) and value.unit is None:
        number = float(value.value)
        if value.percent or (0 < abs(number) < 1 and not plain):
            return f"{number * 100:.2f} %"
        whole = value.value.denominator == 1 or abs(number) >= 10_000
        return f"{number:,.0f}" if whole else f"{number:,.4g}"
    if isinstance(value, Quantity) and value.unit in ("byte", "second"):
        return size_text(float(value.value)) if value.unit == "byte" else short_time(float(value.value))
    if isinstance(value, Tolerance):
        return f"{_shown(value.value, plain=plain)} ± {_shown(value.tolerance, plain=plain)}"
    if isinstance(value, Between):
        return f"{_shown(value.low, plain=plain)} .. {_shown(value.high, plain=plain)}"
    return "?" if isinstance(value, Poison) else show(value)


def _metric(path: str, value: float) -> Quantity:
    # the double that was measured, exactly: comparing it needs no tolerance of its own
    return Quantity(Fraction(value), percent=path.rpartition(".")[2] in RATIO_METRICS)


def metric_text(path: str, value: float) -> str:
    """`87.31%`, or of what is no ratio `12.07`, and below 1 `0.0348`."""
    if path.rpartition(".")[2] in RATIO_METRICS:
        return f"{value:.2%}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"


def _unknown(
    source: Source, diagnostics: Diagnostics, node: t.Path, names: list[str], stages: Sequence[str] = ()
) -> Poison:
    """`stages`: whose sizes may be meant."""
    match node.names:
        case ("stage", stage, size) if size in of_size.OF_STAGES or closest(size, of_size.OF_STAGES):
            slip = stage in stages
            names = [f"stage.{stage}.{n}" for n in of_size.OF_STAGES] if slip else [f"stage.{s}.{size}" for s in stages]
        case (of_size.BASE, size) if closest(size, of_size.OF_STAGES):
            names = [f"{of_size.BASE}.{n}" for n in of_size.OF_STAGES]
    code, message, at = "E091", f"`{node.text}` is not measured by this recipe", node.span
    word, options = node.text, names
    near = closest(word, options)
    listed = ", ".join(f"`{n}`" for n in names[:6])
    if part := _wrong_part(node, names):
        index, options = part
        word = node.names[index]
        at = _part(source, node, index)
        near = closest(word, options) or aliases.meant(word, aliases.SYMBOLS, options)
        listed = ", ".join(f"`{n}`" for n in options)
        if index == len(node.names) - 1:
            message = f"`{'.'.join(node.names[:-1])}` does not measure `{word}`"
        elif node.names[0] == "stage" and index == 1:
            code, message = "E022", f"no stage is named `{word}`"
        elif index == (2 if node.names[0] == "stage" else 0):
            message = f"no evaluation is named `{word}`"
    help = f"did you mean `{near}`?" if near else (f"measured here: {listed}" if names else _evaluate(node))
    fixes = instead(word, near, at, options)
    diagnostics.say(code, message, Label(source, at), help=help, fixes=fixes)
    return POISON


def _wrong_part(node: t.Path, names: list[str]) -> tuple[int, list[str]] | None:
    """The one part of a measured path that is wrong, and what may stand there; none where more are."""
    like = [n.split(".") for n in names if n.count(".") == len(node.names) - 1]
    found: list[tuple[bool, int, list[str]]] = []
    for i, word in enumerate(node.names):
        others = [n[i] for n in like if [*n[:i], word, *n[i + 1 :]] == list(node.names)]
        if others:
            found.append((closest(word, others) is None, i, list(dict.fromkeys(others))))
    if not found:
        return None
    _, index, options = min(found)
    return index, options


def _part(source: Source, node: t.Path, index: int) -> Span:
    """Where one name of a path stands; there may be white space around its dots."""
    words = list(re.finditer(r"[A-Za-z_]\w*", source.slice(node.span)))
    return Span(node.span.start + words[index].start(), node.span.start + words[index].end())


def _evaluate(node: t.Path) -> str:
    name, metric = node.names[-2:] if len(node.names) > 1 else (node.names[0], "f1")
    return f"add `evaluate {name} {{ metrics = [{metric}] }}`"


def _figure(recipe: Outline | Recipe, diagnostics: Diagnostics, node: t.Call) -> of_size.Figure | Poison:
    outline = recipe.outline if isinstance(recipe, Recipe) else recipe
    return of_size.read(node, outline.evaluator.apart(diagnostics), outline.stages, outline.formats)


def _call(
    recipe: Outline | Recipe,
    diagnostics: Diagnostics,
    node: t.Call,
    answer: Callable[[str, sel.Selector], object],
    of_figure: Callable[[of_size.Figure, Span], object] = lambda figure, span: figure.value(1),
) -> object:
    name = node.function.text
    at = Label(recipe.source, node.function.span)
    if name in ("layers", "block"):
        value = recipe.evaluator.apart(diagnostics).value(node)
        if name == "layers" or isinstance(value, Poison):
            return value
        try:
            return Pattern().read(value)
        except Mismatch as mismatch:
            return Evaluator(recipe.source, diagnostics).mismatch(mismatch, node.span)
    if of_size.is_figure(node):
        read = _figure(recipe, diagnostics, node)
        return read if isinstance(read, Poison) else of_figure(read, node.span)
    if name not in FUNCTIONS:
        known = (*FUNCTIONS, *(n for n in of_size.NAMES if n not in FUNCTIONS))
        near = closest(name, known)
        message = f"unknown function `{name}`"
        help = f"did you mean `{near}`?" if near else f"claims support {', '.join(f'`{f}`' for f in known)}"
        fixes = instead(name, near, node.function.span, known)
        diagnostics.say("E022", message, at, help=help, fixes=fixes)
        return POISON
    if len(node.arguments) != 1:
        diagnostics.say("E024", f"`{name}` takes one selector", at, help=f"write `{name}(@linear)`")
        return POISON
    argument = node.arguments[0].value
    evaluator = recipe.evaluator.apart(diagnostics)
    value = evaluator.value(argument)
    if isinstance(value, Poison):
        return POISON
    kind = Selector()
    try:
        chosen: sel.Selector = kind.read(value)  # type: ignore[assignment]
    except Mismatch as mismatch:
        return evaluator.misfit(mismatch, argument, kind=kind)
    found = answer(name, chosen)
    if name == "pattern" and not isinstance(found, SparsityPattern | Poison):
        return SparsityPattern("unstructured")  # before the run: something of its kind
    return found


def _visit_logic(expr: t.Expr, evaluator: Evaluator) -> None:
    """Evaluate all sides of every `and`, `or` and `if`: a wrong name is found whichever side decides."""
    stack = [expr]
    while stack:
        match stack.pop():
            case t.Binary(operator="and" | "or") as node:
                for side in (node.left, node.right):
                    # the left of a chain is one itself: its own sides are evaluated, each once
                    if side is node.right or not (isinstance(side, t.Binary) and side.operator in ("and", "or")):
                        evaluator.value(side)
                    stack.append(side)
            case t.Unary(operator="not") as node:
                stack.append(node.operand)
            case t.If() as node:
                for side in (node.condition, node.then, node.other):
                    evaluator.value(side)
                    stack.append(side)
