"""`docs/reference/` is what the Specs say, and every example on it is a value of its attribute."""

from fractions import Fraction

import pytest

from recipelang.cli.reference_pages import FOLDER, pages
from recipelang.kinds.base import Kind, Mismatch
from recipelang.kinds.plain import Ratio
from recipelang.kinds.schedule import ARGUMENTS, ScheduleOf
from recipelang.reference.attributes import blocks
from recipelang.reference.markdown import code, plain, table
from recipelang.schedules.shapes import SHAPES, value
from recipelang.source import Diagnostics, Source
from recipelang.spec.blocks import EvaluateSpec, ModelSpec
from recipelang.spec.evaluator import Evaluator
from recipelang.spec.metrics import METRICS, MORE_METRICS, TASKS
from recipelang.spec.params import TYPES
from recipelang.syntax import parse
from recipelang.values.quantities import DIMENSIONS, UNITS, Time

PAGES = pages()
ATTRIBUTES = [(kind, n, a) for _, kind, spec in blocks() for n, a in spec.attributes().items()]


@pytest.mark.parametrize("name", PAGES)
def test_page_checked_in_is_the_one_derived(name):
    assert (FOLDER / name).read_text("utf-8") == PAGES[name], "run `make docs`, and read the difference"


def test_folder_holds_no_other_page():
    assert {p.name for p in FOLDER.iterdir()} == set(PAGES)


def bound(example: str, kind: Kind) -> object:
    """A value as a recipe writes it, inside a stage of ten epochs."""
    found = Diagnostics()
    source = Source("example", f"recipe 1\nit = {example}")
    (statement,) = parse(source, found).recipe.statements
    stage = {"start": Time(), "end": Time(epochs=Fraction(10))}
    evaluator = Evaluator(source, found, locals=stage, evaluations=frozenset({"dev"}))
    result = kind.read(evaluator.value(statement.value))
    assert list(found) == []
    return result


@pytest.mark.parametrize(("block", "name", "attribute"), ATTRIBUTES, ids=lambda v: v if isinstance(v, str) else "")
def test_example_of_an_attribute_binds(block, name, attribute):
    bound(attribute.example, attribute.kind)


@pytest.mark.parametrize(("block", "name", "attribute"), ATTRIBUTES, ids=lambda v: v if isinstance(v, str) else "")
def test_attribute_is_told_of(block, name, attribute):
    assert f"| `{name}`" in PAGES["blocks.md"]
    assert f"  {name} " in PAGES["blocks.md"] or block == ""
    assert attribute.doc in PAGES["blocks.md"] and len(attribute.doc) > 5
    assert set(attribute.later) <= {*attribute.kind.symbols, "true", "N:M", "block", "any value"}


@pytest.mark.parametrize("shape", SHAPES)
def test_example_of_a_shape_is_a_schedule(shape):
    (segment,) = bound(SHAPES[shape].example, ScheduleOf(Ratio(), events="updates" in SHAPES[shape].example)).segments
    assert segment.shape == shape


@pytest.mark.parametrize("shape", SHAPES)
def test_formula_of_a_shape_is_what_it_computes(shape):
    from math import cos, pi

    a, b, power = 0.25, 1.0, 2
    python = SHAPES[shape].formula.replace("cos πx", "cos(pi * x)").replace("^", "**").replace(") (", ") * (")
    python = python.replace(") x", ") * x").replace("a (", "a * (")
    for x in (0.125, 0.5, 0.75):
        told = eval(python, {"a": a, "b": b, "x": x, "power": power, "cos": cos, "pi": pi})
        assert float(value(shape, Fraction(a), Fraction(b), Fraction(x), Fraction(power))) == pytest.approx(told)


def test_every_argument_of_a_shape_is_told_of():
    assert {a for s in SHAPES.values() for a in s.arguments} <= set(ARGUMENTS)
    with pytest.raises(Mismatch) as raised:
        bound("linear(0 -> 1, over = start..end, nothing = 1)", ScheduleOf(Ratio(), events=True))
    listed = {a.strip("` ") for a in raised.value.help.removeprefix("it takes ").split(",")}
    assert listed <= set(ARGUMENTS)


def test_every_unit_has_a_dimension_and_every_type_a_sentence():
    assert {d for d, _ in UNITS.values()} == set(DIMENSIONS)
    assert [name for name, kind in TYPES.items() if not kind.doc] == []


def test_what_is_not_in_this_release_is_what_the_tasks_lack():
    assert set(ModelSpec.attributes()["task"].later) == set(TASKS) - set(METRICS)
    metrics = EvaluateSpec.attributes()["metrics"]
    assert set(metrics.kind.symbols) - set(metrics.later) == {
        m for of in (*METRICS.values(), *MORE_METRICS.values()) for m in of
    }


# ------------------------------------------------------------------------ Markdown
@pytest.mark.parametrize(
    "text",
    ["<b>x</b>", "[a](http://b)", "*a* _b_ `c`", "# a", "- a", "1. a", "a | b", "&lt;", "a@b.c", "www.a.b", "$x$"],
)
def test_untrusted_text_is_shown_as_it_is(text):
    """What a Markdown reader makes of it has no element but the paragraph, and reads as before."""
    import markdown_it

    html = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render(plain(text))
    assert html.count("<") == 2 and html.startswith("<p>")


def test_hidden_characters_are_made_visible():
    assert plain("a\u202eb") == "a\\\\u{202e}b"
    assert code("a\u202eb") == "`a\\u{202e}b`"


def test_code_span_holds_backticks():
    assert code("a `b` c") == "``a `b` c``"
    assert code("`a`") == "`` `a` ``"
    assert code("a\n b") == "`a b`"


def test_table_keeps_pipes_inside_cells_and_drops_empty_columns():
    assert table(("a", "b", "c"), [("x|y", "", "1")]) == "| a    | c |\n| ---- | - |\n| x\\|y | 1 |"
