"""Sparse transfer keeps the zeros a model came with; a release lets them move again; nothing revives by accident."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipelang.source import RecipeError
from tests.cli.command import command

from .steps import Steps, run
from .test_pruning import targets

HOLD = "method = hold"
MAGNITUDE = "method = magnitude\n    sparsity = {}"

RECIPE = """recipe 1 "transfer"

model {{ base = "model", task = question_answering }}
data {{ train = "train.json", validation = "dev.json", max_length = 32 tokens, stride = 8 tokens }}
stage first {{
  length = 1 epoch
  batch = 8
  learning_rate = 1e-3
  prune weights {{
    targets = @linear & @encoder
    {first}
  }}
}}
stage second {{
  length = 1 epoch
  batch = 8
  learning_rate = 1e-3
  prune again {{
    targets = @linear & @encoder
    {second}
  }}
}}
"""


class Sparsities(Steps):
    """What the progress shows."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def stepped(self, stage, step, loss, rate, sparsity) -> None:
        self.seen.append(sparsity)


@pytest.fixture
def sparse(project):
    """The tiny model with 60 % of its encoder's matrices at zero, and a recipe to write."""
    folder = project().parent
    path = folder / "model" / "model.safetensors"
    tensors = load_file(path)
    generator = torch.Generator().manual_seed(1)
    for name, weight in tensors.items():
        if "encoder.layer" in name and weight.dim() == 2:
            tensors[name] = weight * (torch.rand(weight.shape, generator=generator) > 0.6)
    save_file(tensors, path, {"format": "pt"})
    before = {n: w == 0 for n, w in tensors.items() if "encoder.layer" in n and w.dim() == 2}

    def write(first: str, second: str):
        (folder / "transfer.recipe").write_text(RECIPE.format(first=first, second=second), "utf-8")
        return folder / "transfer.recipe"

    return before, write


def test_hold_keeps_exactly_the_zeros_that_came(sparse, tmp_path):
    before, write = sparse
    run(write(HOLD, HOLD), tmp_path / "out")
    for name, weight in targets(tmp_path / "out").items():
        assert torch.equal(weight == 0, before[name])


def test_held_zeros_are_counted_before_and_shown_while_the_stage_runs(sparse, tmp_path):
    before, write = sparse
    path, shown = write(HOLD, HOLD), Sparsities()
    run(path, tmp_path / "out", shown)
    zeros, weights = sum(int(z.sum()) for z in before.values()), sum(z.numel() for z in before.values())
    assert shown.seen == pytest.approx([zeros / weights] * len(shown.seen))
    screen = command("plan", path).out
    assert f"keeps the zeros of the loaded model ({zeros / weights:.2%} of the weights) and adds none" in screen
    assert f"sparsity {zeros / weights:.1%} of the targets" in screen


def test_what_is_pruned_after_hold_is_known_before(sparse):
    _, write = sparse
    assert "sparsity 80.0% of the targets" in command("plan", write(HOLD, MAGNITUDE.format("80%"))).out


def test_release_lets_weights_move_again(sparse, tmp_path):
    _, write = sparse
    run(write(HOLD, "method = release"), tmp_path / "out")
    zeros = sum(int((w == 0).sum()) for w in targets(tmp_path / "out").values())
    assert zeros < 10


def test_held_zeros_are_the_first_to_count_in_a_later_stage(sparse, tmp_path):
    before, write = sparse
    run(write(HOLD, MAGNITUDE.format("80%")), tmp_path / "out")
    for name, weight in targets(tmp_path / "out").items():
        assert int((weight == 0).sum()) == round(0.8 * weight.numel())
        assert bool((weight[before[name]] == 0).all())


def test_a_stage_that_would_revive_held_zeros_stops(sparse, tmp_path):
    _, write = sparse
    with pytest.raises(RecipeError) as stopped:
        run(write(HOLD, MAGNITUDE.format("20%")), tmp_path / "out")
    (found,) = stopped.value.diagnostics
    assert found.code == "E064"


def test_the_effective_recipe_of_hold_and_release_is_the_same_run(sparse, tmp_path):
    from recipelang.loading.plan import planned

    _, write = sparse
    path = write(HOLD, "method = release")
    run(path, tmp_path / "out")
    text = (tmp_path / "out" / "recipe" / "effective.recipe").read_text("utf-8")
    (path.parent / "again.recipe").write_text(text, "utf-8")
    again = planned(str(path.parent / "again.recipe"))[1]
    assert again.spec_digest == planned(str(path))[1].spec_digest


def test_a_pattern_that_the_model_came_with_is_found_by_the_run_and_by_verify(sparse, monkeypatch):
    _, write = sparse
    path = write(HOLD, HOLD)
    folder = path.parent
    weights = folder / "model" / "model.safetensors"
    tensors = load_file(weights)
    for name, weight in tensors.items():
        if "encoder.layer" in name and weight.dim() == 2:
            groups = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)).view(len(weight), -1, 4)
            groups[..., :2] = 0
            tensors[name] = groups.view(weight.shape).contiguous()
    save_file(tensors, weights, {"format": "pt"})
    text = path.read_text("utf-8").replace("length = 1 epoch", "length = 1 step")
    path.write_text(
        text + "expect pattern(@linear & @encoder) == 2:4\nexpect pattern(@head) == unstructured\n", "utf-8"
    )
    monkeypatch.chdir(folder)
    assert command("run", path, "-o", "out").code == 0
    assert "2:4" in command("verify", "out").out
    assert command("verify", "out").code == 0
