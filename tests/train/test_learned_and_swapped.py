"""Learned scores and swapped masks, in a run and in a loop of one's own."""

from __future__ import annotations

import pytest
import torch

from recipelang.modifiers.prune import Regrow
from recipelang.source import RecipeError

from .loops import RECIPE, same, write
from .steps import run, weights
from .test_attach import attached, cut_in_two, loop_of, steps
from .test_pruning import targets

SOFT = RECIPE.replace("movement", "soft_movement")
RIGL = (
    RECIPE.replace("movement(scope = global)", "rigl(scope = erk, fraction = 50%)")
    .replace("movement", "rigl")
    .replace("cubic(0% -> 70%,", "constant(70%,")
)


@pytest.fixture
def recipe(project, tmp_path):
    return write(tmp_path)


@pytest.mark.parametrize(("method", "cut"), [("soft_movement", c) for c in (0, 5, 6)] + [("redrawn_movement", 5)])
def test_learned_scores_go_on_in_a_loop_as_in_the_engine(recipe, tmp_path, method, cut):
    recipe.write_text(RECIPE.replace("movement", method), "utf-8")
    run(recipe, tmp_path / "out", params=(f"method={method}",))
    assert same(cut_in_two(recipe, method, cut, tmp_path), weights(tmp_path / "out"))


def test_scores_are_not_a_group_of_the_optimizer_that_trains_the_weights(recipe):
    recipe.write_text(SOFT, "utf-8")
    loop = loop_of(recipe, "method=soft_movement")
    pruning = attached(loop, recipe, params={"method": "soft_movement"})
    steps(loop, pruning)
    assert len(loop.optimizer.param_groups) == 1
    assert len(loop.optimizer.param_groups[0]["params"]) == len(list(loop.model.parameters()))


def test_the_penalty_changes_which_weights_go(recipe, tmp_path):
    kept = []
    for penalty in ("0", "1"):
        recipe.write_text(SOFT.replace("soft_movement(", f"soft_movement(penalty = {penalty}, "), "utf-8")
        run(recipe, tmp_path / penalty, params=("method=soft_movement",))
        kept.append({n: w == 0 for n, w in targets(tmp_path / penalty).items()})
    assert sum(int(z.sum()) for z in kept[0].values()) == sum(int(z.sum()) for z in kept[1].values())
    assert any(not torch.equal(kept[0][n], kept[1][n]) for n in kept[0])


def test_masks_move_in_a_loop_and_counts_stay(recipe):
    recipe.write_text(RIGL, "utf-8")
    loop = loop_of(recipe, "method=rigl")
    with pytest.raises(RecipeError, match="E086]: `rigl` needs batches to compute gradients"):
        attached(loop, recipe, params={"method": "rigl"})
    pruning = attached(loop, recipe, params={"method": "rigl"}, batches=list(loop.batches()))
    steps(loop, pruning, until=1)
    first = {n: m.clone() for n, _, m in pruning.masks}
    steps(loop, pruning, first=1)
    pruning.end()
    last = {n: m for n, _, m in pruning.masks}
    for name, mask in first.items():
        assert int(mask.sum()) == int(last[name].sum())
        assert bool((last[name] & ~mask).any())


def test_a_stage_can_swap_what_an_earlier_one_masked(project, tmp_path, monkeypatch):
    """Masks of another set: counts of the swapping stage hold from its first event on, and nothing is drawn."""
    text = project().read_text("utf-8")
    swap = """
stage swap {
  length = 12 steps
  batch = 8
  learning_rate = 1e-3
  prune weights {
    targets = @linear & @encoder
    method = rigl(scope = uniform)
    sparsity = linear(90% -> 60%, over = start..end, every = 3 steps)
  }
}

evaluate dev"""
    text = text.replace("evaluate dev", swap, 1).replace("expect sparsity", "prefer sparsity")
    (tmp_path / "swap.recipe").write_text(text, "utf-8")
    drawn = []
    original = Regrow._prune

    def look(self, event, state):
        drawn.append(
            all(
                (mask := state.masks.in_force(n, p)) is None or bool(mask.all())
                for n, p in state.model.named_parameters()
                if n in self.names
            )
        )
        original(self, event, state)
        assert tuple(int((~state.masks.get(n)).sum()) for n in self.names) == event.zeros

    monkeypatch.setattr(Regrow, "_prune", look)
    assert not run(tmp_path / "swap.recipe", tmp_path / "out", params=("scope=global",)).failed
    assert drawn == [False] * 5
    # what grew at the very end has not moved yet
    for weight in targets(tmp_path / "out").values():
        assert int((weight == 0).sum()) >= round(0.6 * weight.numel())
