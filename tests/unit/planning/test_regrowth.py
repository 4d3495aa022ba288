"""What a plan allows a method that takes weights back, and what it counts for it."""

import pytest

from recipelang.loading.plan import planned
from recipelang.source import RecipeError
from tests.cli.command import command

RECIPE = """recipe 1 "swaps"

model {{ base = "model", task = question_answering }}
data {{ train = "train.json", max_length = 32 tokens, stride = 8 tokens }}
{before}
stage sparse {{
  length = 40 steps
  batch = 8
  learning_rate = 1e-3
  prune weights {{
    targets = @linear & @encoder
    method = {method}
    sparsity = {sparsity}
  }}
}}
"""
BEFORE = """stage before {{
  length = 2 steps
  batch = 8
  learning_rate = 1e-3
  prune weights {{ targets = @linear & @encoder, method = magnitude(scope = {scope}), sparsity = 70% }}
}}"""
CONSTANT = "constant(80%, over = start..20 steps, every = 10 steps)"


def plan(project, method="rigl", sparsity=CONSTANT, before=""):
    path = project().parent / "swaps.recipe"
    path.write_text(RECIPE.format(method=method, sparsity=sparsity, before=before), "utf-8")
    return planned(str(path))[1].stages[-1].prunes[0]


def codes(project, **named):
    with pytest.raises(RecipeError) as refused:
        plan(project, **named)
    return [d.code for d in refused.value.diagnostics if d.severity == "error"]


def test_a_constant_sparsity_has_events_all_the_way(project):
    prune = plan(project, "rigl(fraction = 40%, scope = uniform)")
    assert [(e.step, e.sparsity) for e in prune.events] == [(0, 0.8), (10, 0.8), (20, 0.8)]
    live = [t.size - n for t, n in zip(prune.targets, prune.events[0].zeros, strict=True)]
    for event, share in zip(prune.events, (0.4, 0.2, 0.0), strict=True):
        assert event.grown == tuple(round(share * n) for n in live)


def test_the_screen_tells_how_many_are_swapped(project):
    prune = plan(project, "rigl(scope = uniform)")
    shown = " ".join(command("plan", project().parent / "swaps.recipe").out.split())
    second = prune.events[1]
    live = sum(t.size for t in prune.targets) - sum(second.zeros)
    swaps = f"swaps {sum(second.grown):,} of {live:,} remaining weights at step 10, then fewer, none at the end"
    assert f"step 20 80.00%; {swaps}" in shown


def test_without_every_it_is_one_event(project):
    assert [e.step for e in plan(project, "magnitude", "constant(80%, over = start..20 steps)").events] == [0]


@pytest.mark.parametrize("scope", ["uniform", "erk", "row"])
def test_a_falling_sparsity_is_kept_exactly(project, scope):
    prune = plan(project, f"rigl(scope = {scope})", "linear(80% -> 40%, over = start..end, every = 10 steps)")
    totals = [sum(e.zeros) for e in prune.events]
    size = sum(t.size for t in prune.targets)
    off = {"uniform": len(prune.targets), "erk": 1, "row": sum(t.shape[0] for t in prune.targets)}[scope] / 2
    assert all(abs(n - s * size) <= off for n, s in zip(totals, (0.8, 0.7, 0.6, 0.5, 0.4), strict=True))


def test_other_methods_do_not_fall(project):
    falls = "linear(80% -> 40%, over = start..end, every = 10 steps)"
    assert codes(project, method="magnitude", sparsity=falls) == ["E064"]


@pytest.mark.parametrize("scope", ["uniform", "global", "erk", "row"])
def test_masks_of_any_set_can_be_gone_on_with(project, scope):
    before = BEFORE.format(scope=scope)
    assert plan(project, before=before).events
    assert plan(project, before=before, sparsity=CONSTANT.replace("80%", "50%")).events


def test_after_it_sparsity_rises_again(project):
    after = BEFORE.format(scope="erk").replace("before", "after")
    path = project().parent / "swaps.recipe"
    path.write_text(RECIPE.format(method="rigl", sparsity=CONSTANT, before="") + after, "utf-8")
    with pytest.raises(RecipeError, match="E064]: sparsity falls from 80"):
        planned(str(path))


@pytest.mark.parametrize(
    "sparsity", ["80%", "step(0% -> 80%, at = 3 steps)", CONSTANT.replace("every = 10", "every = 20")]
)
def test_it_needs_an_event_at_which_to_swap(project, sparsity):
    assert codes(project, sparsity=sparsity) == ["E063"]


def test_two_blocks_of_a_stage_do_not_share_tensors(project):
    path = project().parent / "swaps.recipe"
    block = f"prune more {{ targets = @linear & @encoder, method = rigl, sparsity = {CONSTANT} }}"
    text = RECIPE.format(method="rigl", sparsity=CONSTANT, before="").rstrip().removesuffix("}") + block + "\n}\n"
    path.write_text(text, "utf-8")
    with pytest.raises(RecipeError, match="E064]: two blocks of a stage"):
        planned(str(path))
