"""What stands beside a measured value on screens, cards and pages: of how much, and of which class, it is."""

from types import SimpleNamespace

import pytest

from recipelang.engine.run_record import claimed_on, measured_on


def plan(positive, samples=None, labels=("a", "b")):
    evaluation = SimpleNamespace(name="dev", data="", split="validation", samples=samples, positive=positive)
    counts = {"validation": 90}
    data = SimpleNamespace(
        chat=None, label="", task="sequence_classification", measured=counts.__getitem__, labels=labels
    )
    return SimpleNamespace(evaluations=(evaluation,), data=(data,))


@pytest.mark.parametrize(
    ("positive", "samples", "metric", "told"),
    [
        ("hate", None, "dev.f1", "class hate"),
        ("not_hate", 50, "stage.dense.dev.f1", "50 of 90 examples, class not_hate"),
        ("hate", 50, "dev.accuracy", "50 of 90 examples"),
        ("hate", 90, "dev.accuracy", ""),
        (None, None, "dev.f1", ""),
    ],
)
def test_what_a_value_is_of(positive, samples, metric, told):
    assert measured_on(plan(positive, samples), metric) == told
    assert claimed_on(plan(positive, samples), f"{metric} >= 90%") == told


@pytest.mark.parametrize("name", ["<b>", "[link](x)", "a|b", "`x`", "\x1b[31m", "a\nb", "x" * 99])
def test_a_name_that_could_be_markup_is_told_by_its_number(name):
    assert measured_on(plan(name, labels=("a", name)), "dev.f1") == "class 1"
