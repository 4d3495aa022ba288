"""Tables of latencies: what they predict, the sizes that a speedup comes to, and files that are none."""

import json
from fractions import Fraction

import pytest

from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.budgets import Reach, choose_by_speed
from recipelang.planning.facts import read_model_facts
from recipelang.planning.latencies import Latencies, read_latencies, shape_digest
from recipelang.report import shrink_screen
from recipelang.source import RecipeError
from recipelang.spec.canonical import behaviour_digest
from recipelang.spec.controls import ShrinkSpec
from recipelang.values.composite import Budget, Size
from tests.conftest import make_inputs
from tests.latency_tables import table_of, write_table

WHOLE = {"ffn": 256, "layers": 4}
RECIPE = """recipe 1 "a"
param times: number = 2
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
stage slim {
  mode = one_shot
  shrink body { axes = [ffn, layers], budget = speedup -> times, latencies = "latencies.json" }
}
stage recover { length = 1 epoch, batch = 8, learning_rate = 1e-3 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("latencies"), layers=4, intermediate=256)


def reach(folder, times, *axes: str, **fixed) -> Reach:
    sizes = (*(Size(axis, None) for axis in axes), *(Size(axis, to) for axis, to in fixed.items()))
    spec = ShrinkSpec(name="b", axes=sizes, budget=Budget("speedup", Fraction(times)), latencies="t.json")
    return Reach(spec, read_model_facts(folder / "model", "question_answering"), ())


def chosen(folder, table, times, *axes: str, **fixed):
    return choose_by_speed(reach(folder, times, *axes, **fixed), table, "t.json", "/t.json", "sha256:" + "0" * 64, "")


def test_times_are_linear_between_sizes_and_in_layers_and_never_better_than_measured(folder):
    table = table_of(folder / "model")
    assert table.seconds(WHOLE) == pytest.approx(0.002 + 4 * 0.005)
    assert table.seconds({"ffn": 128, "layers": 4}) == pytest.approx(0.002 + 4 * 0.003)
    assert table.seconds({"ffn": 192, "layers": 1}) == pytest.approx(0.002 + 0.004)
    assert table.seconds({"ffn": 16, "layers": 2}) == table.seconds({"ffn": 64, "layers": 2})


def test_two_rows_of_sizes_are_interpolated_together(folder):
    rows = ({"axes": ("ffn",), "sizes": ((64,), (256,))}, {"axes": ("heads", "hidden"), "sizes": ((1, 16), (2, 32))})
    times = (0.001, 0.002, 0.003, 0.006)  # ffn 64 by width, then ffn 256
    table = table_of(folder / "model", rows=rows, fixed=(0.0,) * 4, layer=times)
    assert table.seconds({"ffn": 64, "heads": 2, "hidden": 32, "layers": 1}) == pytest.approx(0.002)
    assert table.seconds({"ffn": 160, "heads": 1, "hidden": 16, "layers": 1}) == pytest.approx(0.002)
    assert table.measured({"ffn": 64, "heads": 1, "hidden": 16}) and not table.measured(
        {"ffn": 64, "heads": 1, "hidden": 32}
    )
    assert chosen(folder, table, 4, "heads", "hidden", ffn=64).chosen == {"heads": 1, "hidden": 16}


def test_the_sizes_meet_the_speedup_and_none_could_be_larger(folder):
    table = table_of(folder / "model")
    assert chosen(folder, table, 2, "layers").chosen == {"layers": 1}
    assert chosen(folder, table, "1.5", "ffn").chosen == {"ffn": 128}
    for times in ("1.1", "1.5", 2, 3):
        found = chosen(folder, table, times, "ffn", "layers")
        assert found.speed.predicted == pytest.approx(table.seconds(WHOLE) / table.seconds(found.chosen))
        assert found.speed.predicted >= Fraction(times)
        for axis, step in (("ffn", 16), ("layers", 1)):
            more = {**found.chosen, axis: found.chosen[axis] + step}
            assert more[axis] > WHOLE[axis] or table.seconds(WHOLE) / table.seconds(more) < Fraction(times)


def test_a_table_serves_a_model_that_was_shrunk_already(folder):
    facts = read_model_facts(folder / "model", "question_answering")
    smaller = {**facts.config, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16, "id2label": {}}
    assert shape_digest(smaller) == shape_digest(facts.config)
    assert (
        shape_digest({**smaller, "vocab_size": 3})
        != shape_digest({**smaller, "hidden_act": "relu"})
        != shape_digest(smaller)
    )


BAD = {
    "kind": ["models", None],
    "format_version": ["2.0", 1],
    "task": ["", "chess"],
    "config": ["", "sha256:1"],
    "runtime": ["jax"],
    "batch": [0, -1, "1", 1.5],
    "clock": ["sundial"],
    "rows": [
        [{"axes": ["layers"], "sizes": [[1], [2], [4]]}],
        [{"axes": ["ffn"], "sizes": [[64], [64], [256]]}],
        [{"axes": ["ffn"], "sizes": [[64, 1], [128, 2], [256, 4]]}],
        [{"axes": ["ffn"], "sizes": []}],
        [{"axes": ["ffn"], "sizes": [[64], [256]]}],
        [{"axes": ["width"], "sizes": [[64], [128], [256]]}],
    ],
    "fixed": [[-1.0, 0.0, 0.0], [0.0], ["0", 0.0, 0.0], None],
    "layer": [[0.0, 0.1, 0.1], [0.1], [1e9, 0.1, 0.1]],
    "more": [1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_file_that_is_no_table_is_refused(folder, tmp_path, name, value):
    form = table_of(folder / "model").model_dump(mode="json")
    (tmp_path / "t.json").write_text(json.dumps({**form, name: value}), "utf-8")
    with pytest.raises(RecipeError) as refused:
        read_latencies("t.json", tmp_path, "")
    assert [d.code for d in refused.value.diagnostics] == ["E161"]


def test_what_cannot_be_read_says_so(folder, tmp_path):
    write_table(tmp_path / "t.json", folder / "model")
    table, digest = read_latencies("t.json", tmp_path, "")
    assert table == table_of(folder / "model") and digest.startswith("sha256:")
    assert Latencies.model_validate_json(table.model_dump_json()) == table
    for name, text, code in (("none.json", None, "E160"), ("a.json", "[", "E161"), ("b.json", "1" * 2**21, "E161")):
        if text:
            (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(RecipeError) as refused:
            read_latencies(name, tmp_path, "")
        assert [d.code for d in refused.value.diagnostics] == [code]


# ------------------------------------------------------------------------- recipes
def made(folder, text: str = RECIPE):
    (folder / "a.recipe").write_text(text, "utf-8")
    return planned(str(folder / "a.recipe"), read_around([]))[:2]


def test_the_plan_shows_what_is_predicted_and_from_which_processor(folder):
    write_table(folder / "latencies.json", folder / "model", machine="Good Processor")
    _, plan = made(folder)
    (shrink,) = plan.stages[0].shrinks
    sizes = ", ".join(f"{axis} {n:,}" for axis, n in shrink.budget.chosen.items())
    assert shrink_screen.block([shrink]).splitlines()[0] == (
        f"budget: 2 times as fast; chosen {sizes}; predicted {shrink.budget.speed.predicted:.2f}x "
        "from latencies measured on Good Processor"
    )
    assert shrink.budget.speed.table == str(folder / "latencies.json")


def test_the_contents_of_the_table_take_part_in_the_digests_and_its_name_does_not(folder):
    write_table(folder / "latencies.json", folder / "model")
    first = made(folder)[1]
    write_table(folder / "moved.json", folder / "model")
    moved = made(folder, RECIPE.replace("latencies.json", "moved.json"))[1]
    assert (moved.spec_digest, moved.behaviour_digest) == (first.spec_digest, first.behaviour_digest)
    write_table(folder / "latencies.json", folder / "model", rounds=7)
    assert made(folder)[1].behaviour_digest != first.behaviour_digest
    assert behaviour_digest(made(folder, RECIPE.replace("= 2", "= 3"))[0], {}) != behaviour_digest(made(folder)[0], {})
