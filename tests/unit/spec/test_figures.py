"""What claims say of size and speed: how it is read, written out, put into a document, and judged."""

import pytest

from recipelang.spec.canonical import spec_digest, spec_form
from recipelang.spec.claims import figures, judge
from recipelang.spec.document import recipe_text
from recipelang.spec.figures import Figure, shown
from tests.reading import checked, codes, recipe_of, sound
from tests.unit.spec.test_claims_judged import BASE, Measured

EXPORT = "export { formats = [safetensors, onnx], quantize = int8 }\n"
TIMED = {"batch": 1, "length": 128, "threads": 1}
READ = {
    "params() > 0": Figure("params"),
    "size() > 0 B": Figure("size", "safetensors"),
    "size(onnx_int8) > 0 B": Figure("size", "onnx_int8"),
    "flops() > 0": Figure("flops", batch=1, length=128),
    "flops(batch = 8, length = 64) > 0": Figure("flops", batch=8, length=64),
    "latency(torch) > 0 s": Figure("latency", "torch", **TIMED),
    "latency(onnx, threads = 4) > 0 s": Figure("latency", "onnx", **TIMED | {"threads": 4}),
    "speedup(torch, over = stage.dense) > 1": Figure("speedup", "torch", over="stage.dense", **TIMED),
    "speedup(over = base, batch = 2, onnx) > 1": Figure("speedup", "onnx", over="base", **TIMED | {"batch": 2}),
    "stage.dense.params > 0": Figure("params", of="dense"),
    "stage.dense.size > 0 B": Figure("size", "safetensors", of="dense"),
    "stage.dense.flops > 0": Figure("flops", of="dense", batch=1, length=128),
    "base.params > 0": Figure("params", base=True),
    "base.size > 0 B": Figure("size", "safetensors", base=True),
    "base.flops > 0": Figure("flops", batch=1, length=128, base=True),
}


@pytest.mark.parametrize(("claim", "figure"), READ.items())
def test_a_figure_is_read_with_every_setting(claim, figure):
    assert [f for f, _ in figures(recipe_of(f"{BASE}{EXPORT}expect {claim}\n"))] == [figure]


@pytest.mark.parametrize("claim", READ)
def test_a_claim_of_a_figure_reads_back_from_its_own_text_and_form(claim):
    recipe = recipe_of(f"{BASE}{EXPORT}expect {claim}\n")
    again = recipe_of(recipe_text(recipe))
    assert spec_form(again, {}) == spec_form(recipe, {})
    assert [f for f, _ in figures(again)] == [READ[claim]]


def test_defaults_that_are_written_out_are_the_same_claim():
    short, long = (
        recipe_of(f"{BASE}expect {claim} <= 20 ms\n")
        for claim in ("latency(torch)", "latency(torch, batch = 1, length = 128 tokens, threads = 1)")
    )
    assert spec_digest(short, {}) == spec_digest(long, {})
    other = recipe_of(f"{BASE}expect latency(torch, threads = 2) <= 20 ms\n")
    assert spec_digest(other, {}) != spec_digest(short, {})


def test_claims_of_speed_are_no_behaviour():
    from recipelang.spec.canonical import behaviour_digest

    with_it = recipe_of(f"{BASE}expect speedup(torch, over = stage.dense) >= 1.8\n")
    assert behaviour_digest(with_it, {}) == behaviour_digest(recipe_of(BASE), {})


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        ("params() <= 60 MB", ["E023"]),
        ("size() <= 60", ["E023"]),
        ("latency(torch) <= 20", ["E023"]),
        ("speedup(torch, over = stage.dense) >= 2x", ["E023"]),
        ("latency() <= 20 ms", ["E053"]),
        ("speedup(torch) >= 2", ["E053"]),
        ("speedup(over = stage.dense) >= 2", ["E053"]),
        ("latency(torhc) <= 20 ms", ["E022"]),
        ('latency("torch") <= 20 ms', ["E024"]),
        ("latency(safetensors) <= 20 ms", ["E022"]),
        ("size(torch) <= 20 MB", ["E022"]),
        ("size(openvino) <= 20 MB", ["E091"]),
        ("latency(openvino) <= 20 ms", ["E091"]),
        ("latency(torch, torch) <= 20 ms", ["E026"]),
        ("latency(torch, batch = 1, batch = 2) <= 20 ms", ["E026"]),
        ("latency(torch, batch = 0) <= 20 ms", ["E038"]),
        ("latency(torch, batch = 1.5) <= 20 ms", ["E024"]),
        ("latency(torch, batch = two) <= 20 ms", ["E022"]),
        ("latency(torch, length = 0) <= 20 ms", ["E038"]),
        ("latency(torch, length = 2 epochs) <= 20 ms", ["E024"]),
        ("latency(torch, threads = -1) <= 20 ms", ["E038"]),
        ("latency(torch, thread = 1) <= 20 ms", ["E051"]),
        ("latency(torch, over = stage.dense) <= 20 ms", ["E051"]),
        ("flops(torch) > 1", ["E024"]),
        ("flops(threads = 2) > 1", ["E051"]),
        ("speedup(torch, over = dense) >= 2", ["E022"]),
        ("speedup(torch, over = bsae) >= 2", ["E022"]),
        ("speedup(torch, over = stage.dence) >= 2", ["E022"]),
        ("speedup(torch, over = stage.gradual) >= 2", ["E146"]),
        ("speedup(torch, over = 2) >= 2", ["E024"]),
        ("stage.dence.params > 0", ["E022"]),
        ("stage.dense.parms > 0", ["E091"]),
        ("stage.dense.latency > 0", ["E091"]),
        ("flops(batch = 2) > stage.dense.flops", ["E147"]),
        ("flops(length = 64) > 1 or flops() > stage.dense.flops", ["E147"]),
        ("flops(batch = 1) > stage.dense.flops", []),
        ("sped_up(torch) > 1", ["E022"]),
        ("base.parms > 0", ["E091"]),
        ("base.latency > 0", ["E091"]),
        ("flops(batch = 2) > base.flops", ["E147"]),
    ],
)
def test_a_wrong_figure_is_one_coded_error(claim, found):
    assert codes(f"{BASE}{EXPORT}expect {claim}\n") == found


def test_the_place_of_a_wrong_word_is_the_word():
    text = f"{BASE}expect speedup(torch, over = stage.dence, lenght = 64) >= 2\n"
    places = [text[d.primary.span.start : d.primary.span.end] for d in checked(text).diagnostics]
    assert places == ["dence", "lenght"]


@pytest.mark.parametrize(
    ("claim", "met", "measured"),
    [
        ("params() <= 60% * stage.dense.params", True, "600"),
        ("params() == 50% * stage.dense.params ± 10", False, "600"),
        ("params() <= 60% * base.params", True, "600"),
        ("base.size == 100 MB", True, "100 MB"),
        ("size() <= 60 MB", False, "66.6 MB"),
        ("size() / stage.dense.size <= 80%", True, "0.74"),
        ("flops() in 1e9..2e9", True, "1,308,000,000"),
        ("latency(torch) <= 20 ms", False, "20.9 ms"),
        ("speedup(torch, over = stage.dense) >= 1.8", True, "1.93"),
        ("speedup(torch, over = base) >= 0.5", True, "0.97"),
    ],
)
def test_a_figure_is_compared_with_its_unit(claim, met, measured):
    figures = {
        "params()": 600.0, "stage.dense.params": 1000.0, "size(safetensors)": 66.6e6, "stage.dense.size": 90e6,
        "base.params": 1000.0, "base.size": 100e6,
        "flops(batch = 1, length = 128 tokens)": 1_308_000_000.0,
        "latency(torch, batch = 1, length = 128 tokens, threads = 1)": 0.0209,
        "speedup(torch, over = stage.dense, batch = 1, length = 128 tokens, threads = 1)": 1.93,
        "speedup(torch, over = base, batch = 1, length = 128 tokens, threads = 1)": 0.97,
    }  # fmt: skip
    (found,) = judge(recipe_of(f"{BASE}expect {claim}\n"), Measured(figures=figures))
    assert (found.met, found.measured) == (met, measured)


def test_a_speed_that_is_not_reached_says_where_it_was_measured():
    text = "latency(torch, batch = 1, length = 128 tokens, threads = 1)"
    measured = Measured(figures={text: 0.03}, how={text: "PyTorch on one thread"})
    (found,) = judge(recipe_of(f'{BASE}expect latency(torch) <= 20 ms, "fast"\n'), measured)
    assert found.diagnostic.notes == ("fast", "PyTorch on one thread")


def test_a_figure_that_was_not_measured_is_not_judged():
    (found,) = judge(recipe_of(f"{BASE}expect params() <= 20\n"), Measured())
    assert (found.met, found.measured, found.diagnostic.code) == (None, "not measurable", "E091")


def test_milliseconds_are_a_unit():
    assert codes(sound(add="require 20 ms == 0.02 s and 1 s > 999 ms\n")) == []
    assert codes(sound(add="require 20 msecs == 0.02 s\n")) == ["E025"]


def test_figures_are_shown_with_units():
    each = {"params()": 16.7e6, "stage.dense.size": 66.6e6, "latency(torch)": 0.0209, "speedup(torch)": 1.934}
    assert [shown(*item) for item in each.items()] == ["16.7 M", "66.6 MB", "20.9 ms", "1.93x"]
