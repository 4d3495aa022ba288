"""What distillation may compare: as it is written, as plain data, and back."""

import pytest

from recipelang.kinds.from_form import Unfit
from recipelang.kinds.text import show
from recipelang.spec.blocks import DistillSpec
from recipelang.spec.canonical import behaviour_form
from recipelang.spec.effective import effective
from recipelang.values.composite import LayerPairs, Term
from tests.reading import codes, recipe_of, sound

TEACHER = {"hf://owner/teacher": "sha256:" + "0" * 64}


def recipe(on: str, more: str = "") -> str:
    return sound(("temperature = 5.5", f"temperature = 5.5, on = {on}{more}"))


def terms(on: str) -> tuple[Term, ...]:
    return recipe_of(recipe(on)).stages[0].distills[0].on


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("hidden", Term("hidden")),
        ("hidden()", Term("hidden")),
        ("hidden(2)", Term("hidden", (LayerPairs(2, 2),))),
        ("attention(0..-1)", Term("attention", (LayerPairs(0, -1),))),
        ("hidden(1 -> 3, -1 -> -1)", Term("hidden", (LayerPairs(1, 1, 3), LayerPairs(-1, -1, -1)))),
        ("logits(weight = 1)", Term("logits")),
    ],
)
def test_one_term(on, expected):
    assert terms(on) == (expected,)


def test_weight_is_a_number_or_a_schedule():
    plain, changing = terms("[logits(weight = 0.5), hidden(weight = linear(1 -> 0, over = start..50%))]")
    assert plain.weight.plain == 1 / 2
    (segment,) = changing.weight.segments
    assert (segment.shape, segment.start, segment.end) == ("linear", 1, 0)


@pytest.mark.parametrize(
    ("on", "code"),
    [
        ("[]", "E024"),
        ("3", "E024"),
        ('"logits"', "E024"),
        ("hiden", "E022"),
        ("hiden(3)", "E022"),
        ("[logits, logits]", "E026"),
        ("[logits, end_logits]", "E054"),
        ("[hidden(1), hidden(2)]", None),
        ("logits(3)", "E024"),
        ("hidden(1.5)", "E024"),
        ("hidden(10%)", "E024"),
        ("hidden(true)", "E024"),
        ("hidden(0..5 -> 3)", "E024"),
        ("hidden(100_000)", "E038"),
        ("hidden(weight = -1)", "E038"),
        ("hidden(weight = 1, weight = 2)", "E026"),
        ("hidden(layers = 1)", "E051"),
        ("hidden(weight = liner(1 -> 0, over = start..end))", "E022"),
    ],
)
def test_terms_that_are_refused(on, code):
    assert codes(recipe(on)) == ([code] if code else [])


WRITTEN = [
    "[logits]",
    "[start_logits, end_logits(weight = 2)]",
    "[logits, hidden(1 -> 3, 2..4, -1, weight = 0.1), attention]",
    "[hidden(weight = [linear(1 -> 0.5, over = start..5 epochs), constant(0.5, over = 5 epochs..end)])]",
]


@pytest.mark.parametrize("on", WRITTEN)
def test_what_is_shown_reads_back(on):
    found = terms(on)
    assert terms(show(found)) == found
    again = recipe_of(effective(recipe_of(recipe(on))))
    assert again.stages[0].distills[0].on == found


@pytest.mark.parametrize("on", WRITTEN)
def test_canonical_form_reads_back(on):
    (stage,) = behaviour_form(recipe_of(recipe(on)), TEACHER)["stages"]
    kind = DistillSpec.attributes()["on"].kind
    assert terms(kind.written(stage["distill"]["on"])) == terms(on)


@pytest.mark.parametrize(
    "form",
    [
        3,
        {"hidden": {}},
        {"hidden": {"weight": "1"}, "attention": {"weight": "1"}},
        {"hidden": {"layer": []}},
        {"hidden": {"layers": [{"->": ["1"]}]}},
        {"hidden": {"layers": [{"->": ["1", "2); x"]}]}},
        {"hidden": {"layers": ["1"]}},
        {"hidden(1), x": {"weight": "1"}},
    ],
)
def test_other_forms_are_not_read(form):
    with pytest.raises(Unfit):
        DistillSpec.attributes()["on"].kind.written([form])


@pytest.mark.parametrize("cache", ["true", "false", "fp32"])
def test_cache_is_written_back(cache):
    found = recipe_of(recipe("logits", f", cache = {cache}"))
    assert recipe_of(effective(found)).stages[0].distills[0].cache == found.stages[0].distills[0].cache


def test_canonical_form_of_terms():
    def on(text):
        (stage,) = behaviour_form(recipe_of(recipe(text)), TEACHER)["stages"]
        return stage["distill"]["on"]

    assert on("logits") == on("[logits(weight = 1)]") == ["logits"]
    layers = [{"->": ["1", "3"]}, {"layers": ["2", "4"]}]
    assert on("hidden(1 -> 3, 2..4, weight = 0.1)") == [{"hidden": {"layers": layers, "weight": "0.1"}}]
    assert on("attention(0)") == [{"attention": {"layers": [{"layers": ["0", "0"]}]}}]
