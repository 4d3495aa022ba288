"""Size and speed in claims: `params()`, `size(onnx)`, `flops()`, `latency(torch)`, `speedup(torch, over = stage.dense)`.

A figure is known by its text, in which every setting stands, defaults too.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from recipelang.kinds.base import Kind, Mismatch, describe
from recipelang.kinds.formats import FORMATS, RUNTIMES, WEIGHTS
from recipelang.kinds.measures import Count
from recipelang.kinds.plain import Number, OneOf
from recipelang.source import Label, Span
from recipelang.source.frozen import frozen
from recipelang.source.suggest import closest, instead
from recipelang.source.words import amount, short_time, size_text
from recipelang.spec.evaluator import Evaluator
from recipelang.syntax import tree as t
from recipelang.values.composite import POISON, Poison, StageRef, Symbol
from recipelang.values.quantities import Quantity

#: how each is written -> what it gives
FIGURES = {
    "params()": "number of parameters of the whole model, zeros included, tied ones once",
    "size()": "bytes of the safetensors files of the output; `size(onnx)` of the files of another format",
    "flops()": "floating point operations of one forward pass: two for each multiplication with its addition",
    "latency(RUNTIME)": "median time of one forward pass, on the processor",
    "speedup(RUNTIME, over = stage.NAME)": "how many times faster one pass is than that of the model which the stage "
    "left, or of the model that the run starts with (`over = base`): median of pairs, in the same runtime; "
    "a quantized model is compared with one that is not",
}
NAMES = tuple(dict.fromkeys(written.partition("(")[0] for written in FIGURES))
#: of these, those that a stage's model has too, and the model as it came: `stage.NAME.params`, `base.params`
OF_STAGES = ("params", "size", "flops")
TIMES = ("latency", "speedup")
#: the model that the run starts with
BASE = "base"

#: defaults are those of `recipelang bench`
SETTINGS: dict[str, tuple[Kind, int, str]] = {
    "batch": (Number(1, whole=True), 1, "texts of one forward pass"),
    "length": (Count("token", 1), 128, "tokens of each text"),
    "threads": (Number(1, whole=True), 1, "threads of the processor"),
}
_TAKES: dict[str, tuple[str, ...]] = {
    "params": (),
    "size": ("",),
    "flops": ("batch", "length"),
    "latency": ("", "batch", "length", "threads"),
    "speedup": ("", "over", "batch", "length", "threads"),
}


@frozen
class Figure:
    """`format`: whose files (`size`), or what runs the model (times). `of`: the stage of a measured path.

    `base`: of the model as it came, `base.params`.
    """

    name: str
    format: str = ""
    of: str = ""
    over: str = ""  # a stage's name in `stage.NAME`, or `base`
    batch: int = 0
    length: int = 0
    threads: int = 0
    base: bool = False

    @property
    def text(self) -> str:
        """As a recipe would have it, with every setting."""
        if self.of or self.base:
            return f"stage.{self.of}.{self.name}" if self.of else f"{BASE}.{self.name}"
        parts = [self.format] if self.format else []
        parts += [f"over = {self.over}"] if self.over else []
        named = ((name, getattr(self, name)) for name in SETTINGS)
        parts += [f"{name} = {SETTINGS[name][0].text(value)}" for name, value in named if value]
        return f"{self.name}({', '.join(parts)})"

    @property
    def form(self) -> dict[str, object]:
        """As JSON, in a document."""
        found: dict[str, object] = {"format": self.format} if self.format else {}
        if self.over:
            found["over"] = BASE if self.over == BASE else {"stage": self.over.removeprefix("stage.")}
        for name, (kind, _, _) in SETTINGS.items():
            if value := getattr(self, name):
                found[name] = kind.form(value)
        return {"measured": self.name, "with": found}

    @property
    def stage(self) -> str:
        """The stage whose model has to be kept for it; empty where none is named."""
        kept = self.of if self.name == "size" else self.over.partition(".")[2]
        return kept

    def value(self, measured: float) -> Quantity:
        """With its unit, exactly as it was measured."""
        return Quantity(Fraction(measured), {"size": "byte", "latency": "second"}.get(self.name))


def shown(name: str, value: float) -> str:
    """`1.93x`, `66.6 MB`, `20.9 ms`, `16.7 M`: of a figure of this name, or of its text."""
    match name.partition("(")[0].rpartition(".")[2]:
        case "size":
            return size_text(value)
        case "latency":
            return short_time(value)
        case "speedup":
            return f"{value:.2f}x"
    return amount(value)


def is_time(text: str) -> bool:
    """Whether the text of a figure is of one that differs from machine to machine."""
    return text.partition("(")[0] in TIMES


def of_path(node: t.Path) -> Figure | None:
    """`stage.NAME.params`, `.size`, `.flops`, and `base.params` and so on; none for any other path."""
    *of, name = node.names
    base = of == [BASE]
    if name not in OF_STAGES or not (base or (len(of) == 2 and of[0] == "stage")):
        return None
    batch, length = (SETTINGS[n][1] if name == "flops" else 0 for n in ("batch", "length"))
    format = WEIGHTS if name == "size" else ""
    return Figure(name, format, "" if base else of[1], batch=batch, length=length, base=base)


def is_figure(node: t.Call) -> bool:
    """`params` of a selector is another function."""
    name = node.function.text
    return name in NAMES and not (name == "params" and node.arguments)


def read(node: t.Call, evaluator: Evaluator, stages: Sequence[str], formats: Sequence[str]) -> Figure | Poison:
    """What a call asks for. Findings go to the evaluator, which must know no measured names.

    `stages` and `formats`: of the recipe; formats beside safetensors are those that it exports.
    """
    name, at = node.function.text, node.function.span
    takes, given = _TAKES[name], dict[str, object]()
    sound = True
    for argument in node.arguments:
        key = argument.name or ""
        if key not in takes:
            sound = _no_argument(evaluator, name, argument, takes, given)
            continue
        if key in given:
            what = f"argument `{key}`" if key else f"the first argument of `{name}`"
            evaluator.error("E026", f"{what} is given twice", argument.value.span, help="keep one of them")
            return POISON
        value = evaluator.value(argument.value)
        found = POISON if isinstance(value, Poison) else _argument(evaluator, name, key, argument.value, value, stages)
        sound = sound and not isinstance(found, Poison)
        given[key] = found
    if not sound:
        return POISON
    if name in TIMES and "" not in given:
        help = f"write `{name}(torch{', over = stage.NAME' if name == 'speedup' else ''})`, or another of {_names(RUNTIMES)}"
        return evaluator.error("E053", f"`{name}` does not say which runtime is measured", at, help=help)
    if name == "speedup" and "over" not in given:
        near = stages[0] if stages else "dense"
        help = f"write `over = stage.{near}`, or `over = base` for the model that the run starts with"
        return evaluator.error("E053", "`speedup` does not say which model it compares with", at, help=help)
    format = str(given.get("", WEIGHTS if name == "size" else ""))
    if format in FORMATS and format not in formats:
        return _not_exported(evaluator, format, node.arguments[0].value.span)
    over = str(given.get("over", ""))
    if stages and over == f"stage.{stages[-1]}":
        span = next(a.value.span for a in node.arguments if a.name == "over")
        earlier = f"`stage.{stages[-2]}`" if len(stages) > 1 else "`base`"
        help = f"name an earlier model, such as {earlier}"
        return evaluator.error("E146", "this compares the final model with itself", span, help=help)
    settings = {n: given.get(n, SETTINGS[n][1]) for n in takes if n in SETTINGS}
    return Figure(name, format, over=over, **settings)  # type: ignore[arg-type]


def _argument(evaluator: Evaluator, name: str, key: str, expr: t.Expr, value: object, stages: Sequence[str]) -> object:
    if key == "over":
        return _over(evaluator, expr, value, stages)
    kind = SETTINGS[key][0] if key else OneOf(*((WEIGHTS, *FORMATS) if name == "size" else RUNTIMES))
    try:
        return kind.read(value)
    except Mismatch as mismatch:
        return evaluator.misfit(mismatch, expr, kind=kind)


def _over(evaluator: Evaluator, expr: t.Expr, value: object, stages: Sequence[str]) -> object:
    match value:
        case Symbol(name="base"):
            return BASE
        case StageRef(name) if name in stages:
            return f"stage.{name}"
        case StageRef(name):
            near = closest(name, stages)
            at = Span(expr.span.end - len(name), expr.span.end) if isinstance(expr, t.Path) else expr.span
            help = f"did you mean `{near}`?" if near else f"stages here: {_names(stages)}"
            return evaluator.error(
                "E022", f"no stage is named `{name}`", at, help=help, fixes=instead(name, near, at, stages)
            )
        case Symbol(name) if isinstance(expr, t.Path):
            near = f"stage.{name}" if name in stages else closest(name, [BASE])
            help = f"did you mean `{near}`?" if near else f"write `stage.{stages[0] if stages else 'NAME'}`, or `base`"
            fixes = instead(name, near, expr.span, stages)
            return evaluator.error("E022", f"unknown name `{name}`", expr.span, help=help, fixes=fixes)
    return evaluator.error("E024", f"expected `stage.NAME` or `base`, found {describe(value)}", expr.span)


def _no_argument(
    evaluator: Evaluator, name: str, argument: t.Argument, takes: Sequence[str], given: dict[str, object]
) -> bool:
    named = [n for n in takes if n]
    known = f"it takes {_names(named)}" if named else "it takes no arguments" if not takes else "it takes one format"
    if argument.name is None or argument.name_span is None:
        message = f"`{name}` takes only named arguments here"
        evaluator.error("E024", message, argument.value.span, help=known)
        return False
    near = closest(argument.name, [n for n in named if n not in given])
    help = f"did you mean `{near}`?" if near else known
    message, span = f"`{name}` has no argument `{argument.name}`", argument.name_span
    evaluator.error("E051", message, span, help=help, fixes=instead(argument.name, near, span, named))
    return False


def _not_exported(evaluator: Evaluator, format: str, span: Span) -> Poison:
    chosen = FORMATS[format].of or format
    more = ", quantize = int8" if FORMATS[format].of else ""
    help = f"add `export {{ formats = [safetensors, {chosen}]{more} }}`"
    return evaluator.error("E091", f"this recipe does not export `{format}`", span, help=help)


def check_settings(figures: Sequence[tuple[Figure, Label]], evaluator: Evaluator) -> None:
    """E147 in one claim where operations are counted over texts of different sizes."""
    of_stage = next((f for f, _ in figures if (f.of or f.base) and f.name == "flops"), None)
    for figure, at in figures:
        if of_stage and figure.name == "flops" and (figure.batch, figure.length) != (of_stage.batch, of_stage.length):
            message = f"`{of_stage.text}` and `flops` count texts of different sizes"
            notes = (
                f"of {'the base' if of_stage.base else 'a stage'}: 1 text of {of_stage.length} tokens; here: {figure.batch} of {figure.length:,}",
            )
            evaluator.error("E147", message, at.span, help="remove `batch` and `length`", notes=notes)


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{n}`" for n in names)
