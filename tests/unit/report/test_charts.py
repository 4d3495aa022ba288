"""Pictures: places of points, marks of axes, text of anybody that stays text."""

import re
from xml.etree import ElementTree

import pytest

from recipelang.report.chart import Axis, Chart, Series, alone, svg
from recipelang.report.curves import smoothed
from recipelang.report.heat import heat
from recipelang.report.pictures import drawn
from recipelang.report.scale import marks, written

SVG = "{http://www.w3.org/2000/svg}"


def tree(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)


def texts(picture: str) -> list[str]:
    return [e.text or "" for e in tree(picture).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 740, [0, 200, 400, 600]),
        (-3, 12, [0, 5, 10]),
        (0, 4e-4, [0, 1e-4, 2e-4, 3e-4, 4e-4]),
    ],
)
def test_marks_are_round_numbers_within(low, high, found):
    assert marks(low, high) == pytest.approx(found)


@pytest.mark.parametrize(
    ("value", "percent", "step", "text"),
    [
        (0.9, True, 0.2, "90 %"),
        (0.905, True, 0.005, "90.5 %"),
        (0.0, True, 0.1, "0 %"),
        (12_000, False, 2_000, "12,000"),
        (4e-4, False, 1e-4, "4e-4"),
        (0.0, False, 1e-4, "0"),
        (2.5, False, 0.5, "2.5"),
    ],
)
def test_marks_are_written_as_briefly_as_they_differ(value, percent, step, text):
    assert written(value, percent=percent, step=step) == text


def test_points_stand_where_their_values_are():
    chart = Chart("t", [Series("a", [(0, 0), (10, 1)], 0)], Axis(within=(0, 10)), Axis(within=(0, 1)))
    circles = [(float(c.get("cx")), float(c.get("cy"))) for c in tree(svg(chart)).iter(f"{SVG}circle")]
    (x0, y0), (x1, y1) = circles
    assert x0 < x1 and y0 > y1  # the page's y grows downwards
    ticks = {e.text: float(e.get("x")) for e in tree(svg(chart)).iter(f"{SVG}text") if e.get("text-anchor") == "middle"}
    assert ticks["0"] == pytest.approx(x0) and ticks["10"] == pytest.approx(x1)


def test_where_colours_begin_again_shapes_are_others():
    chart = Chart("t", [Series(f"s{i}", [(0, i)], i, line=False) for i in range(24)])
    marked = {
        (g.get("class"), e.tag, e.get("fill"), "l4.6" in (e.get("d") or ""))
        for g in tree(svg(chart)).iter(f"{SVG}g")
        if g.get("class")
        for e in g
        if e.tag not in (f"{SVG}title", f"{SVG}g")
    }
    assert len(marked) == 24


def test_series_differ_in_shape_as_well_as_in_colour():
    chart = Chart("t", [Series(f"s{i}", [(0, i)], i, line=False) for i in range(8)])
    groups = [g for g in tree(svg(chart)).iter(f"{SVG}g") if g.get("class")]
    assert {g.get("class") for g in groups} == {f"c{i}" for i in range(8)}
    marked = {
        (e.tag, e.get("fill"), "l4.6" in (e.get("d") or ""))
        for g in groups
        for e in g
        if e.tag not in (f"{SVG}title", f"{SVG}g")
    }
    assert len(marked) == 8
    assert texts(svg(chart))[:8] == [f"s{i}" for i in range(8)]


def test_interval_reaches_from_its_low_to_its_high_end():
    chart = Chart("t", [Series("a", [(0, 5)], 0, [(2, 8)])], Axis(), Axis(within=(0, 10)))
    (bar,) = [e.get("d") for e in tree(svg(chart)).iter(f"{SVG}path") if "V" in e.get("d", "")]
    top, bottom = (float(n) for n in re.findall(r"(?:M\S+ |V)([\d.]+)", bar))
    (middle,) = [float(c.get("cy")) for c in tree(svg(chart)).iter(f"{SVG}circle")]
    assert (top + bottom) / 2 == pytest.approx(middle, abs=0.1) and top > bottom


@pytest.mark.parametrize("values", [[(0, 0.5)], [(3, 7), (3, 7)], [(0, 1e-12), (1, 2e-12)], [(0, -5), (1, 1e9)]])
def test_any_values_make_a_sound_picture(values):
    picture = svg(Chart("t", [Series("a", values, 0)]))
    assert "nan" not in picture and "inf" not in picture
    tree(picture)


def test_text_of_a_recipe_stays_text():
    evil = '<script>alert("x")</script>&'
    picture = svg(
        Chart(evil, [Series(evil, [(0, 1)]), Series("b", [(0, 1)])], Axis(evil), parts=[(0, evil)]), titled=True
    )
    assert "<script" not in picture and texts(picture).count(evil) == 4
    assert "<script" not in heat({f"{evil}.0.{evil}.weight": 0.5})


def test_map_has_a_row_for_each_kind_and_a_cell_for_each_layer():
    sparsity = {f"bert.encoder.layer.{i}.output.dense.weight": 0.9 + i / 100 for i in range(3)}
    sparsity["bert.embeddings.word_embeddings.weight"] = 0.0
    picture = heat(sparsity)
    assert texts(picture) == [
        "0",
        "1",
        "2",
        "layer",
        "output.dense",
        "90.0",
        "91.0",
        "92.0",
        "embeddings.word_embeddings",
        "0.0",
    ]
    cells = [e for e in tree(picture).iter(f"{SVG}rect") if e.get("class") == "heat"]
    assert [float(c.get("fill-opacity")) for c in cells] == [0.9, 0.91, 0.92, 0.0]


def test_picture_as_a_file_needs_nothing_else():
    file = alone(svg(Chart("t", [Series("a", [(0, 1), (1, 2)])]), titled=True))
    assert tree(file).get("width") and "<style>" in file and "var(" not in file
    assert "http" not in file.replace("http://www.w3.org/2000/svg", "")


def test_png_of_a_picture():
    data = drawn(alone(svg(Chart("t", [Series("a", [(0, 1), (1, 2)])]), titled=True)))
    if data is None:
        pytest.skip("the extra `recipelang[report]` is not installed")
    assert data.startswith(b"\x89PNG") and len(data) > 2_000


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_counted_and_not_drawn(bad):
    points = [(0.0, 1.0), (1.0, bad), (2.0, 3.0)]
    spans = [(0.5, 1.5), (1.0, 2.0), (2.0, bad)]
    picture = svg(Chart("loss", [Series("a", points), Series("b", points, 1, spans)]))
    assert "nan" not in picture and "inf" not in picture.replace("infer", "")
    assert "3 values are not finite and not shown" in texts(picture)
    assert svg(Chart("loss", [Series("", [(0.0, bad)])])) and svg(Chart("loss", [Series("", [(bad, 1.0)])]))


def test_the_mean_goes_on_behind_a_value_that_is_not_finite():
    assert smoothed([(0, 1.0), (1, float("nan")), (2, 1.0)]) == [(0, 1.0), (2, pytest.approx(1.0))]
