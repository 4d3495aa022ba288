"""Gradients that a method asks for at an event: of a whole batch, however it is cut, and dense where they are to be."""

import pytest
import torch

from recipelang.modifiers.modifier import Modifier

from .steps import also_acting, run


class Ask(Modifier):
    """Before step 3 of the sparse stage: what is asked for twice, masked and dense."""

    def __init__(self):
        self.seen = {}

    def on_step_start(self, state):
        if state.step == 3 and state.masks:
            for dense in (False, True):
                for _ in state.gradients(1, 0, dense=dense):
                    found = {n: p.grad.clone() for n, p in state.model.named_parameters() if p.grad is not None}
                self.seen[dense] = found
            self.masks = {n: m.clone() for n, _, m in state.masks}
            assert all(p.grad is None for p in state.model.parameters())
            assert state.model.training


@pytest.fixture
def ask(monkeypatch):
    asked = []
    also_acting(monkeypatch, lambda stage: asked.append(Ask()) or asked[-1])
    return asked


STILL = ('base = "model"', 'dropout = 0%, attention_dropout = 0%, base = "model"')


def test_they_are_dense_only_when_that_is_said(project, tmp_path, ask):
    run(project(replace=STILL), tmp_path / "out")
    masked, dense = ask[1].seen[False], ask[1].seen[True]
    assert ask[1].masks
    for name, mask in ask[1].masks.items():
        assert bool((masked[name][~mask] == 0).all())
        assert bool((dense[name][~mask] != 0).any())
        assert torch.equal(masked[name][mask], dense[name][mask])


def test_parts_of_a_batch_have_the_gradient_of_the_whole(project, tmp_path, ask):
    recipe = project(replace=STILL)
    for micro in (8, 2):
        run(recipe, tmp_path / str(micro), params=(f"micro={micro}",))
    whole, cut = ask[1].seen[True], ask[3].seen[True]
    assert whole.keys() == cut.keys()
    for name in whole:
        scale = float(whole[name].abs().max())
        torch.testing.assert_close(cut[name], whole[name], rtol=0, atol=0.02 * scale + 1e-7)
