"""What a plan knows of masks that `shrink` cuts, and which it does not let be cut."""

import pytest

from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.sliced import targets_left
from recipelang.report.plan_screen import _result
from recipelang.source import RecipeError
from tests.conftest import make_inputs

RECIPE = """recipe 1 "a"
model { base = "model", task = question_answering }
data { train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }
"""
PRUNE = """stage NAME {{
  mode = one_shot
  prune w {{ targets = {}, method = {}, pattern = {}, sparsity = {} }}
}}
"""
SHRINK = """stage slim {{
  mode = one_shot
  shrink body {{ axes = {}, by = magnitude }}
}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("cut"), layers=4)


@pytest.fixture
def plan(folder):
    def make(*stages: str):
        (folder / "a.recipe").write_text(RECIPE + "".join(stages), "utf-8")
        return planned(str(folder / "a.recipe"), read_around([]))[1]

    return make


def prune(sparsity="50%", targets="@ffn", method="magnitude", pattern="unstructured", name="cut") -> str:
    return PRUNE.replace("NAME", name).format(targets, method, pattern, sparsity)


def shrink(axes: str) -> str:
    return SHRINK.format(axes)


def codes(plan, *stages: str) -> list[str]:
    try:
        plan(*stages)
    except RecipeError as error:
        return [f"{d.code}: {d.message}" for d in error.diagnostics if d.code[0] == "E"]
    return []


def test_where_layers_go_that_are_pruned_alike_the_zeros_are_known(plan):
    made = plan(prune(), shrink("layers -> 2"), prune("75%", name="more"))
    assert made.stages[1].shrinks[0].masks == 8
    assert not made.stages[2].prunes[0].at_least
    assert _result(plan(prune(), shrink("layers -> 2"))).endswith("sparsity 50.0% of the targets, 20.4% of the model")


def test_where_units_go_the_zeros_are_counted_in_the_run(plan):
    made = plan(prune(targets="@ffn | @attention & @linear"), shrink("ffn -> 50%"), prune("75%", name="more"))
    assert made.stages[1].shrinks[0].masks == 8, "those of attention lose nothing"
    assert made.stages[2].prunes[0].at_least
    assert targets_left(made.stages[:2])["bert.encoder.layer.0.output.dense.weight"] == 32 * 32
    only = plan(prune(targets="@ffn | @attention & @linear"), shrink("ffn -> 50%"))
    told = _result(only)
    assert "8,192 zeros planned; 8,192 weights keep the zeros that shrinking leaves them" in told
    assert "sparsity at least" in _result(made)


def test_what_no_mask_is_on_is_planned_exactly(plan):
    made = plan(prune(targets="@attention & @linear"), shrink("ffn -> 50%"), prune("75%", name="more"))
    assert made.stages[1].shrinks[0].masks == 0
    assert not made.stages[2].prunes[0].at_least


def test_a_total_of_which_a_part_is_cut_is_known_no_more(plan):
    all, some = "@linear & @encoder", "@attention & @linear"
    made = plan(
        prune(targets=all, method="magnitude(scope = global)"),
        shrink("ffn -> 50%"),
        prune("75%", targets=all, method="magnitude(scope = global)", name="more"),
    )
    assert made.stages[2].prunes[0].at_least
    alone = plan(
        prune(targets=some, method="magnitude(scope = global)"),
        shrink("ffn -> 50%"),
        prune("75%", targets=some, method="magnitude(scope = global)", name="more"),
    )
    assert not alone.stages[2].prunes[0].at_least


def test_released_masks_are_cut_no_more(plan):
    free = "stage free {\n  mode = one_shot\n  prune f { targets = @ffn, method = release }\n}\n"
    made = plan(prune(pattern="2:4"), free, shrink("ffn -> 50%"), prune("25%", name="more"))
    assert made.stages[2].shrinks[0].masks == 0
    assert not made.stages[3].prunes[0].at_least


@pytest.mark.parametrize(
    ("pattern", "targets", "axes", "code"),
    [
        ("2:4", "@ffn", "ffn -> 50%", "E154"),  # inputs of the matrix behind
        ("2:4", "@ffn", "layers -> 2", None),
        ("2:4", "@attention & @linear", "[heads -> 1, hidden -> 16]", "E154"),  # hidden units are inputs of queries
        ("2:4", "@out", "ffn -> 50%", None),
        ("2:4", "@up", "ffn -> 50%", None),  # neurons are its outputs
        ("block(4, 1)", "@up", "ffn -> 50%", "E154"),
        ("block(1, 4)", "@up", "ffn -> 50%", None),
        ("block(1, 4)", "@down", "ffn -> 50%", "E154"),
    ],
)
def test_only_whole_groups_of_a_pattern_may_go(plan, pattern, targets, axes, code):
    assert [c[:4] for c in codes(plan, prune(pattern=pattern, targets=targets), shrink(axes))] == [code] * bool(code)


def test_of_layers_pruned_differently_none_goes(plan):
    some = prune(targets="@ffn & layers(0..1)")
    assert codes(plan, some, shrink("layers -> 2")) == ["E154: layers that were pruned differently cannot go"]
    assert codes(plan, some, prune("75%", "@ffn & layers(2..3)", name="b"), shrink("layers -> 2")) != []
    assert codes(plan, some, shrink("ffn -> 50%")) == []


def test_rows_that_lost_inputs_are_ranked_together(plan):
    rows = "magnitude(scope = row)"
    bad = codes(plan, prune(method=rows), shrink("ffn -> 50%"), prune("75%", method=rows, name="more"))
    assert bad == ["E064: rows differ in zeros since the model was shrunk"]
    assert codes(plan, prune(method=rows), shrink("ffn -> 50%"), prune("75%", name="more")) == []
    assert codes(plan, prune(method=rows), shrink("layers -> 2"), prune("75%", method=rows, name="more")) == []


def test_sparsity_still_only_rises(plan):
    found = codes(plan, prune("75%"), shrink("ffn -> 50%"), prune("50%", name="less"))
    assert [c[:4] for c in found] == ["E064"]


def test_what_layers_that_are_gone_were_never_is_not_judged_at_the_end(plan):
    stage = prune().replace("targets = @ffn", "targets = @ffn, never = @norm")
    made = plan(stage, shrink("layers -> 2"))
    assert {n.split(".")[3] for n in made.never if ".layer." in n} == {"0", "1"}
