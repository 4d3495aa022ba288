"""The worst values of every attribute: refused by its code and name in Python, and at its place in a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from recipelang.kinds.base import Evaluated, Kind
from recipelang.kinds.budgets import Budgets
from recipelang.kinds.choice import Choice, Pair
from recipelang.kinds.class_weights import ClassWeights
from recipelang.kinds.measures import Cadence, Count, PerEpoch, Size, Stretch
from recipelang.kinds.plain import (
    BlockLabel,
    Boolean,
    ListOf,
    LocalFile,
    MeasuredPath,
    Number,
    OneOf,
    OrNone,
    Ratio,
    Reference,
    Seeds,
    Text,
)
from recipelang.kinds.schedule import ScheduleOf
from recipelang.kinds.sizes import Sizes
from recipelang.kinds.tensors import LayerNumbers, Pattern, Selector
from recipelang.kinds.terms import Kept, Terms
from recipelang.methods import METHODS
from recipelang.reference.attributes import blocks
from recipelang.source import Diagnostics, Source
from recipelang.spec.attribute import Spec
from recipelang.spec.bind import Binder
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.study_blocks import ArmSpec, StudySpec, VarySpec
from recipelang.syntax import parse, tree as t
from recipelang.values import selector as sel
from recipelang.values.composite import (
    Budget,
    Chosen,
    ClassWeight,
    Schedule,
    ShapeSegment,
    Size as AxisSize,
    SparsityPattern,
    Symbol,
    Term,
)
from recipelang.values.quantities import Quantity, Time

HALF = Fraction(1, 2)


def segment(shape: str = "linear", **changes: Any) -> Schedule:
    window = (Time(), Time(epochs=Fraction(2)))
    return Schedule((ShapeSegment(shape, **{"start": HALF, "end": HALF, "window": window, **changes}),))


#: kind -> plain data that is none of it, and recipe text that is none
BAD: dict[type[Kind], tuple[list[Any], list[str]]] = {
    Text: ([3, True, 0.5, ("a",), b"a"], ["3", "true", "2 epochs", "[1]", "@linear"]),
    Boolean: ([1, "true", 0.0, Symbol("true")], ["1", '"true"', "50%", "yes"]),
    Number: (["2", 0.5, True, Quantity(HALF), float("nan")], ['"x"', "2 epochs", "true", "[1]", "-1e9 B"]),
    Ratio: ([Fraction(3, 2), Fraction(-1), 0.5, "50%", 1], ["150%", "-1%", '"50%"', "2 epochs", "true"]),
    Cadence: (
        [3, "two parsecs", HALF, Quantity(HALF), Quantity(Fraction(0), "second"), Quantity(Fraction(3), "token")],
        ["3", '"two parsecs"', "50%", "[1 epoch]", "0 s", "2 tokens", "-1 min"],
    ),
    Stretch: ([3, "two parsecs", HALF, Quantity(HALF)], ["3", '"two parsecs"', "50%", "[1 epoch]"]),
    Count: ([-1, "128", 0.5, True, HALF], ["-1", '"128"', "1/2", "true", "2 epochs"]),
    Size: ([0, -1, "5 GB", 0.5, True], ["0 B", '"5 GB"', "5", "true", "2 epochs"]),
    OneOf: (["wiggle", "", 3, Symbol("train")], ["wiggle", '""', "3", "[]"]),
    LocalFile: (["", 3, ("a",), True, "hf://owner/name"], ['""', "3", "[1]", "true", '"hf://owner/name"']),
    Reference: (["", 3, ("a",), True], ['""', "3", "[1]", "true"]),
    Pattern: (["2:4", SparsityPattern("N:M", 4, 2), SparsityPattern("wiggle")], ['"2:4"', "wiggle", "block(0, 1)"]),
    BlockLabel: ([3, True, ("a",)], ["3", "true", "[1]"]),
    Selector: (["a", 3, sel.Role("nothing"), Symbol("linear")], ["3", "linear", "true", '"{a"']),
    ScheduleOf: (
        [
            0.9, HALF, Schedule(()), segment("wiggle"), segment(window=None), segment(power=HALF),
            segment("exponential", start=Fraction(0)), segment(every=Time()), segment(start=Fraction(-3)),
        ],
        ['"x"', "[]", "wiggle", "wiggle(1 -> 0, over = start..end)", "linear(1 -> 0)", "0.1 -> 0", "true"],
    ),
    Choice: (
        ["magnitude", Chosen("wiggle", ()), Chosen("magnitude", ()), METHODS["magnitude"]],
        ['"magnitude"', "wiggle", "magnitude(scop = row)", "3", "sgd(momentum = 7)"],
    ),
    MeasuredPath: (["f1", "", ".f1", "dev.", "dev..f1", "dev f1", 3, ("dev.f1",)], ["f1", '"f1"', "3", "[dev.f1]", "true", '"dev."']),
    Terms: ([(), ("logits",), (Term("wiggle"),), (Term("logits"), Term("logits"))], ["[]", "wiggle", '"logits"', "[logits, logits]"]),
    Kept: (["fp16", 1, None], ["fp16", "1", '"fp32"']),
    LayerNumbers: ([(), (2, 1), (-1,), [1], (0.5,)], ["[]", "[2, 1]", "[-1]", "1", "[0.5]"]),
    Sizes: (
        [(), ("ffn",), (AxisSize("fnn", HALF),), (AxisSize("ffn", HALF), AxisSize("ffn", 3)), (AxisSize("ffn", Fraction(2)),),
         (AxisSize("ffn", 0),), (AxisSize("ffn", True),), AxisSize("ffn", HALF)],
        ["[]", "fnn", "50%", "[fnn -> 50%]", "[ffn, ffn -> 50%]", "[ffn -> 0%]", "[ffn -> 100%]", "[ffn -> 2 epochs]", "[ffn -> 1, ffn -> 2]",
         '"ffn" -> 2', "[ffn -> 1.5]"],
    ),
    Budgets: (
        ["parameters", HALF, Budget("weights", HALF), Budget("parameters", Fraction(1)), Budget("parameters", 0),
         Budget("parameters", True), Budget("parameters", -3), (Budget("parameters", HALF),), Budget("speedup", Fraction(1)),
         Budget("speedup", Fraction(2000)), Budget("speedup", Fraction(2), "onxx"), Budget("parameters", HALF, "onnx")],
        ["parameters", "50%", "weights -> 50%", "parameters -> 0%", "parameters -> 100%", "parameters -> 0", "parameters -> -3",
         "parameters -> 1.5", "parameters -> 2 epochs", '"parameters" -> 50%', "[parameters -> 50%]", "parameters -> true",
         "speedup -> 1", "speedup -> 150%", "speedup -> 2 epochs", "speedup(onxx) -> 2", "speedup(onnx, torch) -> 2", "speedup() -> 2"],
    ),
    ClassWeights: (
        [(), "balance", HALF, (ClassWeight("a", HALF), ClassWeight("a", HALF)), (ClassWeight("a", Fraction(0)),), ("a",)],
        ["[]", "balance", "2", '["a" -> 1, a -> 2]', '["a" -> 0]', '["a" -> -1]', '["a" -> 2 epochs]', "[0.5 -> 2]", '["a"]'],
    ),
    Seeds: ([3, ("1",), (-1,), [1]], ['"3"', "[-1]", "true", "0.5"]),
    Pair: ([(HALF,), HALF, (HALF, 2)], ["[0.9]", "0.9", "[0.9, 2]"]),
    PerEpoch: ([HALF, 3], ["3", "50%"]),
}  # fmt: skip

SPECS: list[tuple[str, type[Spec]]] = [
    *((kind, spec) for _, kind, spec in blocks()),
    ("study", StudySpec),
    ("arm", ArmSpec),
]


def rows(kind: Kind) -> tuple[list[Any], list[str]]:
    if isinstance(kind, OrNone):
        return rows(kind.inner)
    if isinstance(kind, ListOf):
        plain, texts = rows(kind.inner)
        return [*((value,) for value in plain), "a", ["a"]], [f"[{text}]" for text in texts]
    return BAD[type(kind)]


def plain_cases() -> Iterator[Any]:
    """Spec, attribute, plain data that are none of its kind."""
    for _, spec in SPECS:
        for name, attribute in spec.attributes().items():
            unset = spec.model_fields[name].default is None
            for value in rows(attribute.kind)[0]:
                if not (unset and value is None):
                    yield pytest.param(spec, name, value, id=f"{spec.__name__}.{name}={str(value)[:30]}")


def written_cases() -> Iterator[Any]:
    for kind, spec in SPECS:
        for name, attribute in spec.attributes().items():
            for text in rows(attribute.kind)[1]:
                yield pytest.param(kind, spec, name, text, id=f"{kind or 'top'}.{name} = {text}")


def evaluator(source: Source, found: Diagnostics) -> Evaluator:
    return Evaluator(source, found, locals={"start": Time(), "end": Time(epochs=Fraction(10))})


def bound(kind: str, spec: type[Spec], values: dict[str, str]) -> tuple[Spec | None, Diagnostics, Source]:
    """A block with these attributes, and those that it must have, as a recipe writes it."""
    needed = {n: spec.attributes()[n].example for n in spec.wanted({})}
    label = {"drop": " layers"}.get(kind, " x" if spec.LABELS[0] else "")
    body = "\n".join(f"  {name} = {text}" for name, text in {**needed, **values}.items())
    source = Source("bad.recipe", f"recipe 1\n{kind or 'top'}{label} {{\n{body}\n}}\n")
    found = Diagnostics()
    tree = parse(source, found).recipe
    block = tree.statements[0] if tree else None
    assert isinstance(block, t.Block), found
    extra = {"name": block.labels[0]} if block.labels else {}
    return Binder(source, found).bind(block, spec, evaluator(source, found), kind, extra), found, source


def test_every_block_has_its_ten_worst() -> None:
    for _, spec in SPECS:
        counted = sum(len(rows(a.kind)[0]) for a in spec.attributes().values())
        assert counted >= 10 or spec in (VarySpec,) or len(spec.attributes()) < 3, (spec, counted)


@pytest.mark.parametrize(("kind", "spec"), SPECS)
def test_the_examples_are_good(kind: str, spec: type[Spec]) -> None:
    for name, attribute in spec.attributes().items():
        assert list(bound(kind, spec, {name: attribute.example})[1]) == [] or (kind, name) in _NOT_ALONE


#: what does nothing, or is not all, without anything else
_NOT_ALONE = (("group", "targets"), ("prune", "reconstruct"), ("stage", "keep_best"), ("stage", "stop_early"),
              ("stage", "patience"), ("stage", "min_delta"), ("data", "shuffle_buffer"), ("export", "quantize"),
              ("shrink", "budget"), ("shrink", "chosen"), ("shrink", "latencies"), ("shrink", "every"))  # fmt: skip


@pytest.mark.parametrize(("spec", "name", "value"), [*plain_cases()])
def test_bad_plain_data_are_refused(spec: type[Spec], name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        spec.model_validate({name: value})
    found = {item["type"] for item in refused.value.errors() if item["loc"] == (name,)}
    assert len(found) == 1 and next(iter(found)).startswith("E"), refused.value.errors()


@pytest.mark.parametrize(("kind", "spec", "name", "text"), [*written_cases()])
def test_bad_text_is_refused_at_its_place(kind: str, spec: type[Spec], name: str, text: str) -> None:
    made, found, source = bound(kind, spec, {name: text})
    assert made is None
    (one,) = found.sorted()
    assert one.primary is not None
    line = source.text.split("\n")[source.position(one.primary.span.start)[0] - 1]
    assert line.split(" = ")[0].strip() == name, one


def test_a_kind_is_a_type_by_itself() -> None:
    from typing import Annotated

    tokens = TypeAdapter(Annotated[int, Count("token", 1)])
    assert tokens.validate_python(Quantity(Fraction(3), "token"), context=Evaluated()) == 3
    assert tokens.dump_json(3) == b'{"n":"3","u":"token"}'
    for bad, context in ((0, None), ("3", None), (Quantity(HALF), Evaluated())):
        with pytest.raises(ValidationError, match=r"token|too small"):
            tokens.validate_python(bad, context=context)
