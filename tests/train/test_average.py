"""`ema`: the average of `torch.optim.swa_utils`, with the zeros of the masks, is evaluated and comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from recipelang.engine.records import Interrupted
from recipelang.modifiers.average import Average
from recipelang.modifiers.modifier import Modifier, State
from recipelang.pruning.masks import Masks

from .steps import also_acting, run, same, stopped_often, weights
from .test_keep_best import Measured, recipe_of, record

LINE = "ema = 0.75"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("average")
    run(recipe_of(folder, LINE), folder / "out")
    return folder / "out"


def test_it_is_the_average_of_torch() -> None:
    torch.manual_seed(0)
    model = nn.Linear(6, 4)
    theirs, ours = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.75)), Average(0.75)
    state = State(model, torch.optim.SGD(model.parameters()), Masks(), 5)
    for _ in range(5):
        with torch.no_grad():
            for p in model.parameters():
                p += torch.randn_like(p)
        theirs.update_parameters(model)
        ours.on_step_end(state)
    for (name, p), kept in zip(model.named_parameters(), theirs.module.parameters(), strict=True):
        assert torch.equal(ours.kept[name], kept) and not torch.equal(p, kept)


class Follow(Modifier):
    """Of the second stage, what each step left."""

    def __init__(self, seen: list[dict[str, torch.Tensor]]) -> None:
        self.seen = seen

    def on_step_end(self, state: State) -> None:
        self.seen.append({n: p.detach().clone() for n, p in state.model.named_parameters()})


def test_the_stage_ends_with_the_average_of_its_steps(whole: Path, tmp_path: Path, monkeypatch) -> None:
    """By hand, from the weights of every step of the very same run."""
    seen: dict[str, list[dict[str, torch.Tensor]]] = {"dense": [], "sparse": []}
    also_acting(monkeypatch, lambda stage: Follow(seen[stage.name]))
    run(recipe_of(tmp_path, LINE), tmp_path / "out")
    left = weights(tmp_path / "out")
    assert same(left, weights(whole))
    steps = seen["sparse"]
    for name in (n for n in steps[0] if n in left):
        average = steps[0][name].double()
        for step in steps[1:]:
            average += 0.25 * (step[name].double() - average)
        average[steps[-1][name] == 0] = 0
        torch.testing.assert_close(left[name].double(), average, rtol=1e-5, atol=1e-6)
        if (steps[-1][name] == 0).float().mean() > 0.5:  # zeros are those of the masks
            assert torch.equal(left[name] == 0, steps[-1][name] == 0)
    assert record(whole)["sparsity"]["targets"] == pytest.approx(0.9, abs=1e-3)


def test_the_average_is_what_is_measured(tmp_path: Path) -> None:
    seen = Measured()
    run(recipe_of(tmp_path, f"{LINE}\n  keep_best = dev.perplexity"), tmp_path / "out", seen)
    best = record(tmp_path / "out")["best"]["sparse"]
    assert seen.values[best["step"]] == best["value"] == seen.values[None]


@pytest.mark.parametrize("steps", [1, 5])
def test_interrupted_it_is_the_same(whole: Path, steps: int, tmp_path: Path) -> None:
    assert stopped_often(recipe_of(tmp_path, LINE), tmp_path / "out", steps) > 2
    assert same(weights(tmp_path / "out"), weights(whole))


def test_interrupted_while_it_is_measured_it_is_the_same(whole: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, LINE)
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "out", Measured(5))
    run(recipe, tmp_path / "out", resume=True)
    assert same(weights(tmp_path / "out"), weights(whole))
