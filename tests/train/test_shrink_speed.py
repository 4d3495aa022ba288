"""A budget of `speedup`: its table is measured, a run has the sizes it came to, and `verify` chooses them again."""

import json
import re

import pytest

import recipelang
from recipelang.api.latencies import latencies
from recipelang.planning.latencies import Latencies
from recipelang.provenance.checks import Verified
from recipelang.provenance.contents import verify_digests
from recipelang.provenance.recount import verify_weights
from recipelang.report.cleaned import plain
from recipelang.report.latencies import shown
from recipelang.source import RecipeError
from tests.cli.command import command
from tests.conftest import make_inputs
from tests.latency_tables import write_table

from .steps import same, weights

RECIPE = """recipe 1 "fast"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
stage slim {
  mode = one_shot
  shrink body { axes = ffn, by = magnitude, budget = speedup -> 1.5, latencies = "latencies.json" }
}
evaluate dev { metrics = [f1] }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("fast"), 12, 8, layers=3, intermediate=256)


def test_a_table_is_measured_of_the_sizes_that_axes_can_have(folder):
    asked = {"task": "question_answering", "length": 8, "rounds": 6}
    table = latencies(folder / "model", folder / "t.json", axes=("ffn", "heads", "hidden"), **asked)
    assert [(row.axes, row.sizes) for row in table.rows] == [
        (("ffn",), ((64,), (128,), (192,), (256,))), (("heads", "hidden"), ((1, 16), (2, 32))),
    ]  # fmt: skip
    assert len(table.layer) == 8 and min(table.layer) > 0 <= min(table.fixed)
    assert Latencies.model_validate_json((folder / "t.json").read_text("utf-8")) == table
    assert "one layer" in plain(shown(table, "t.json"), 100)
    (row,) = latencies(folder / "model", folder / "t.json", axes=("ffn",), **asked).rows
    assert row.sizes == ((32,), (64,), (128,), (192,), (256,))
    assert latencies(folder / "model", folder / "t.json", axes=("layers",), **asked).rows == ()


def test_what_cannot_be_measured_is_refused(folder, tmp_path):
    asked = {"task": "question_answering", "length": 8, "rounds": 6}
    for changed, code in (
        ({"axes": ("wings",)}, "E038"), ({"axes": ("experts",)}, "E152"), ({"task": "chess"}, "E038"), ({"rounds": 5}, "E038"), ({"length": 0}, "E038"),
        ({"runtime": "jax"}, "E038"), ({"length": 100_000}, "E188"), ({"axes": ("heads",)}, "E152"),
    ):  # fmt: skip
        with pytest.raises(RecipeError) as refused:
            latencies(folder / "model", tmp_path / "t.json", **{**asked, **changed})
        assert [d.code for d in refused.value.diagnostics] == [code], changed
    assert not (tmp_path / "t.json").exists()


def test_the_command_writes_the_table_and_says_which_options_go_together(folder, monkeypatch):
    monkeypatch.chdir(folder)
    table, task = ("bench", "model", "--latencies", "c.json"), ("--task", "question_answering")
    done = command(*table, *task, "--length", 8, "--rounds", 6, "--axes", "ffn,layers", "--json")
    assert done.code == 0 and json.loads(done.out) == json.loads((folder / "c.json").read_text("utf-8"))
    for wrong in (table, (*table, "model", *task), ("bench", "model", "--axes", "ffn")):
        done = command(*wrong)
        assert done.code == 2 and re.search(r"--(task|axes|latencies)", done.err)


def told(out) -> tuple[list[str], list[str]]:
    done = Verified()
    said = verify_digests(out, done)
    assert said is not None
    verify_weights(out, said, done)
    return [c.what for c in done.checks if c.outcome == "failed"], done.unchecked


def test_a_run_has_the_sizes_and_verify_chooses_them_again_where_the_table_is(folder):
    write_table(folder / "latencies.json", folder / "model")
    (folder / "a.recipe").write_text(RECIPE, "utf-8")
    recipelang.run(folder / "a.recipe", out=folder / "out")
    kept = (folder / "out" / "recipe" / "effective.recipe").read_text("utf-8")
    assert "budget = speedup -> 1.5" in kept and "chosen = [ffn -> 128]" in kept
    assert json.loads((folder / "out" / "config.json").read_text("utf-8"))["intermediate_size"] == 128
    assert told(folder / "out") == ([], [])
    recipelang.run(folder / "out" / "recipe" / "effective.recipe", out=folder / "again")
    assert same(weights(folder / "again"), weights(folder / "out"))
    plan = json.loads((folder / "out" / "recipe" / "plan.json").read_text("utf-8"))
    assert (
        json.loads((folder / "again" / "recipe" / "plan.json").read_text("utf-8"))["spec_digest"] == plan["spec_digest"]
    )
    (folder / "latencies.json").unlink()
    failed, unchecked = told(folder / "out")
    assert failed == [] and any("the table of latencies is not on this machine" in u for u in unchecked)
    lock = (folder / "out" / "recipe" / "recipe.lock").read_text("utf-8")
    assert plan["stages"][0]["shrinks"][0]["budget"]["speed"]["digest"] in lock
