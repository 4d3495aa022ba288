"""Sizes that claims name, in the plan: counted, bounded, judged before the run, and what cannot be measured."""

import shutil

import pytest
from pydantic import ValidationError

from recipelang.kinds.formats import WEIGHTS
from recipelang.loading.plan import planned
from recipelang.loading.read import read_around
from recipelang.planning.figure_plan import FigurePlan
from recipelang.planning.offloaded import check_offloaded
from recipelang.report import plan_screen
from recipelang.source import RecipeError
from tests.model_configs import count_here
from tests.model_folders import make_folder
from tests.unit.planning.test_shrink import RECIPE, SLIM, TRAIN

DENSE, LATER = (TRAIN.replace("NAME", name).replace("MORE", "") for name in ("dense", "later"))
HALF = SLIM.replace("AXES", "axes = ffn -> 50%")
PRUNED = "prune w { targets = @linear & @encoder, method = magnitude, sparsity = 50% }"
ZEROS = SLIM.replace("shrink body { AXES }", PRUNED)


@pytest.fixture
def plan(tmp_path, tiny, monkeypatch):
    count_here(monkeypatch)
    shutil.copytree(tiny, tmp_path, dirs_exist_ok=True)

    def make(*parts: str, codes: bool = False):
        (tmp_path / "a.recipe").write_text(RECIPE.replace("STAGES", "".join(parts)), "utf-8")
        _, plan, found = planned(str(tmp_path / "a.recipe"), read_around([]))
        return [d.code for d in found if d.code[0] != "L"] if codes else plan

    return make


def refused(plan, *parts: str) -> list[str]:
    with pytest.raises(RecipeError) as error:
        plan(*parts)
    return [d.code for d in error.value.diagnostics if d.severity == "error"]


def test_counts_are_those_of_each_stage_and_of_the_result(plan):
    claims = "expect params() < stage.dense.params and size() < stage.dense.size\nexpect flops(length = 64) > 0\n"
    made = plan(DENSE, HALF, LATER, claims)
    known = {f.text: f.planned for f in made.figures}
    before, after = made.parameters("dense"), made.parameters()
    assert (before, after) == (made.model.parameters, made.stages[1].shrinks[0].parameters[1])
    assert known["params()"] == (after, after) and known["stage.dense.params"] == (before, before)
    assert known["size(safetensors)"][0] == 4 * after < known["size(safetensors)"][1]
    # two matrices less of 32 × 32 each in two layers, each number once a token
    flops = known["flops(batch = 1, length = 64 tokens)"][0]
    dense = plan(DENSE, "expect flops(length = 64) > 0\n").figures[0].planned[0]
    assert dense - flops == 2 * 64 * 2 * 2 * 32 * 32
    assert made.kept_stages == ["dense"]  # for the size of its files


def test_the_base_is_the_model_before_layers_are_dropped(plan, tmp_path):
    (tmp_path / "model").rename(tmp_path / "tiny")
    make_folder(tmp_path / "model", "bert", "question_answering", vocab_size=40, max_position_embeddings=128)
    shutil.copy(tmp_path / "tiny" / "tokenizer.json", tmp_path / "model")
    whole = plan(DENSE, HALF, "expect params() < base.params and base.size > 0 B and flops() < base.flops\n")
    known = {f.text: f.planned for f in whole.figures}
    bytes = (tmp_path / "model" / "model.safetensors").stat().st_size
    assert known["base.params"] == (whole.model.parameters,) * 2 and known["base.size"] == (bytes, bytes)
    fewer = DENSE.replace("length =", "drop layers { keep = [0] }\n  length =", 1)
    made = plan(fewer, HALF, "expect params() <= base.params\nexpect base.size > 0 B and base.flops > 0\n")
    dropped = {f.text: f.planned for f in made.figures}
    assert {n: v for n, v in dropped.items() if "base" in n} == {n: v for n, v in known.items() if "base" in n}
    assert made.model.parameters < made.model.drop.parameters == dropped["base.params"][0]
    assert made.kept_stages == []


@pytest.mark.parametrize(
    ("claim", "codes"),
    [
        ("expect params() <= 50% * stage.dense.params", ["E155"]),
        ("expect params() <= 90% * stage.dense.params", []),
        ("expect params() <= 50% * base.params", ["E155"]),
        ("expect size() > 10 * base.size", ["E155"]),
        ("expect params(@linear & @encoder) <= 10", ["E155"]),
        ("expect size() >= 1 GB or flops(length = 64) < 10", ["E155"]),
        ("expect size() >= 1 GB or sparsity(@linear) >= 0%", []),
        ("expect pattern(@linear & @encoder) == 2:4", []),  # only the run knows
        ("prefer params() <= 1", ["W156"]),
        ("prefer size() > 62_000 B", []),  # of weights alone, and more in their header: only the run knows
    ],
)
def test_a_claim_that_counts_decide_is_judged_before_the_run(plan, claim, codes):
    if "E155" in codes:
        assert refused(plan, DENSE, HALF, claim) == codes
    else:
        assert plan(DENSE, HALF, claim, codes=True) == codes


def test_what_is_known_of_a_claim_stands_in_the_plan_and_on_its_screen(plan, tmp_path):
    made = plan(DENSE, HALF, "expect params() <= 90% * stage.dense.params\nexpect sparsity(@linear) >= 0%\n")
    assert [c.planned for c in made.claims] == [f"{made.parameters():,}", ""]
    from recipelang.report.cleaned import plain

    recipe, _, _ = planned(str(tmp_path / "a.recipe"), read_around([]))
    assert f"known now: {made.parameters():,}" in plain(plan_screen.full(recipe, made, 120), 120)


@pytest.mark.parametrize(
    ("claim", "codes"),
    [
        ("expect latency(torch) <= 1 s", ["E188"]),
        ("expect latency(torch, length = 64) <= 1 s", []),
        ("expect flops() >= 0", ["E188"]),
    ],
)
def test_a_text_is_no_longer_than_the_model_reads(plan, claim, codes):
    assert (refused(plan, DENSE, claim) if codes else plan(DENSE, claim, codes=True)[:0]) == codes


def test_a_speedup_between_equal_shapes_is_warned_of(plan):
    claim = "expect speedup(torch, over = OVER, length = 64 tokens) >= 1\n"
    assert "W157" in plan(DENSE, ZEROS, claim.replace("OVER", "stage.dense"), codes=True)
    assert "W157" not in plan(DENSE, HALF, LATER, claim.replace("OVER", "stage.dense"), codes=True)
    assert "W157" in plan(DENSE, HALF, LATER, claim.replace("OVER", "stage.slim"), codes=True)
    assert "W157" not in plan(HALF, claim.replace("OVER", "base"), codes=True)


def test_the_reference_of_a_speedup_is_kept_but_not_in_a_rehearsal(plan):
    made = plan(DENSE, HALF, LATER, "expect speedup(torch, over = stage.dense, length = 64 tokens) >= 1\n")
    assert made.kept_stages == ["dense"]
    assert made.model_copy(update={"rehearsal": 1}).kept_stages == []


def test_claims_of_time_need_weights_in_memory(plan):
    made = plan(ZEROS, "expect latency(torch, length = 64 tokens) <= 1 s\n")
    with pytest.raises(RecipeError, match=r"E223"):
        check_offloaded(made)
    check_offloaded(plan(ZEROS, "expect size() <= 1 GB and params() > 1\n"))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "length"},
        {"name": "size", "format": "torch"},
        {"name": "latency", "format": WEIGHTS, "batch": 1, "length": 1, "threads": 1},
        {"name": "latency", "format": "torch", "batch": 1, "length": 1},
        {"name": "latency", "format": "torch", "over": "base", "batch": 1, "length": 1, "threads": 1},
        {"name": "speedup", "format": "torch", "batch": 1, "length": 1, "threads": 1},
        {"name": "params", "batch": 1},
        {"name": "flops", "batch": 1},
        {"name": "params", "planned": (2, 1)},
    ],
)
def test_a_plan_holds_no_figure_that_there_is_not(fields):
    with pytest.raises(ValidationError):
        FigurePlan(**fields)
