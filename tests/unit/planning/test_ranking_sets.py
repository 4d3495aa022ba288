"""A plan refuses what would bring masked weights back, and teachers that have nothing to teach."""

import pytest

from recipelang.loading.plan import planned
from recipelang.source import RecipeError

BLOCK = """
  prune more {
    targets = @linear & @encoder
    never = @embeddings
    method = magnitude
    sparsity = 90%
  }
"""
STAGE = f"""
stage again {{
  length = 1 epoch
  batch = 8
  learning_rate = 1e-3
{BLOCK}}}
"""


def codes(recipe) -> list[str]:
    try:
        return [d.code for d in planned(str(recipe))[2].errors]
    except RecipeError as error:
        return [d.code for d in error.diagnostics if d.severity == "error"]


def test_two_blocks_of_a_stage_cannot_prune_the_same_tensors(project):
    assert codes(project(extra=BLOCK)) == ["E064"]


@pytest.mark.parametrize(("scope", "expected"), [("uniform", []), ("global", ["E064"])])
def test_tensors_ranked_together_stay_together(project, scope, expected):
    recipe = project(replace=("one_of(uniform, global) = uniform", f"one_of(uniform, global) = {scope}"))
    recipe.write_text(recipe.read_text("utf-8").replace("\nevaluate", STAGE + "\nevaluate"), "utf-8")
    assert codes(recipe) == expected


AFTER = """
stage first {{
  length = 1 epoch
  batch = 8
  learning_rate = 1e-3
  prune some {{
    targets = @linear & @encoder
    {first}
  }}
}}
stage second {{
  length = 1 epoch
  batch = 8
  learning_rate = 1e-3
  prune more {{
    targets = @linear & @encoder
    {second}
  }}
}}
"""


def after(project, first: str, second: str) -> list[str]:
    recipe = project()
    head = recipe.read_text("utf-8").partition("stage dense")[0]
    recipe.write_text(head + AFTER.format(first=first, second=second), "utf-8")
    return codes(recipe)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("row", "uniform", []),
        ("row", "global", []),
        ("uniform", "global", []),
        ("erk", "global", []),
        ("erk", "erk", []),
        ("uniform", "row", ["E064"]),
        ("uniform", "erk", ["E064"]),
        ("erk", "uniform", ["E064"]),
        ("global", "uniform", ["E064"]),
    ],
)
def test_a_later_stage_ranks_in_the_same_sets_or_in_larger_ones(project, first, second, expected):
    blocks = (f"method = magnitude(scope = {s}), sparsity = {n}%" for s, n in ((first, 50), (second, 80)))
    assert after(project, *blocks) == expected


PATTERNS = {
    "unstructured": "method = magnitude, sparsity = 50%",
    "2:4": "method = magnitude, sparsity = 50%, pattern = 2:4",
    "1:4": "method = magnitude, sparsity = 75%, pattern = 1:4",
    "block": "method = magnitude, sparsity = 50%, pattern = block(2, 4)",
    "hold": "method = hold",
    "release": "method = release",
    "sparser": "method = magnitude, sparsity = 80%",
}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("2:4", "sparser", []),
        ("block", "sparser", []),
        ("block", "block", []),
        ("hold", "unstructured", []),
        ("unstructured", "2:4", ["E064"]),
        ("2:4", "1:4", ["E064"]),
        ("unstructured", "block", ["E064"]),
        ("hold", "block", ["E064"]),
        ("unstructured", "release", []),
        ("hold", "2:4", ["E064"]),
    ],
)
def test_groups_of_a_pattern_do_not_revive_what_another_masked(project, first, second, expected):
    assert after(project, PATTERNS[first], PATTERNS[second]) == expected


def test_teacher_without_a_head_teaches_nothing(project, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = tmp_path / "model" / "model.safetensors"
    recipe = project(replace=("teacher = stage.dense", 'teacher = "model"'))
    assert codes(recipe) == []
    save_file({n: t for n, t in load_file(weights).items() if "qa_outputs" not in n}, weights, {"format": "pt"})
    assert codes(recipe) == ["E080"]


def test_measurements_inside_a_stage_follow_its_own_epochs(project):
    recipe = project(replace=("evaluate dev {", "evaluate dev { every = 1 epoch,"))
    text = recipe.read_text("utf-8").replace("batch = 8\n  micro_batch", "batch = 16\n  micro_batch")
    recipe.write_text(text, "utf-8")
    _, plan, _ = planned(str(recipe))
    assert plan.evaluations[0].every == {s.name: s.steps_per_epoch for s in plan.stages} == {"dense": 6, "sparse": 3}


def test_a_later_stage_asks_for_no_fewer_zeros_than_there_are(project):
    """Sets of another size round otherwise: 90 % of each tensor may be a few more than 90 % of all."""
    recipe = project()
    head = recipe.read_text("utf-8").partition("stage dense")[0]
    first, second = (f"method = magnitude(scope = {s}), sparsity = 90%" for s in ("uniform", "global"))
    recipe.write_text(head + AFTER.format(first=first, second=second), "utf-8")
    stages = planned(str(recipe))[1].stages
    each, whole = (s.prunes[0].events[-1].zeros for s in stages)
    assert whole == (sum(each),)


def test_an_unstructured_stage_in_between_does_not_hide_the_change_of_pattern(project):
    recipe = project()
    text = recipe.read_text("utf-8").partition("stage dense")[0]
    block = "method = magnitude, sparsity = {}%, pattern = block(2, 4)"
    two = AFTER.format(first=block.format(50), second="method = magnitude, sparsity = 60%")
    third = AFTER.format(first=block.format(75), second="").partition("stage second")[0]
    recipe.write_text(text + two + third.replace("stage first", "stage third"), "utf-8")
    assert codes(recipe) == ["E064"]
