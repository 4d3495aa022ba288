"""Zeros and patterns counted from files are what torch finds in the tensors."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from recipelang.planning import zeros as weights
from recipelang.planning.zeros import STANDARD, patterns_of
from recipelang.pruning.patterns import choose

PATTERNS = (("N:M", (2, 4)), ("block", (4, 1)), ("block", (2, 2)), ("block", (1, 4)))


def keeps_to(weight: torch.Tensor, pattern: str, size: tuple[int, int]) -> bool:
    """As torch sees it, all at once."""
    height, width = (1, size[1]) if pattern == "N:M" else size
    if weight.shape[0] % height or weight.shape[1] % width:
        return False
    zero = weight.detach() == 0
    if pattern == "N:M":
        return bool((zero.view(weight.shape[0], -1, width).sum(2) >= width - size[0]).all())
    tiles = zero.view(weight.shape[0] // height, height, -1, width).sum((1, 3))
    whole = int((tiles == height * width).sum()) * height * width
    return whole > 0 and whole >= 0.99 * int(zero.sum())


def tensors(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    dense = torch.randn(12, 16)
    half = dense.clone().view(12, 4, 4)
    half[:, :, :2] = 0
    tiles = dense.clone()
    tiles[4:12] = 0
    tiles[0, 0] = -0.0  # a zero by chance, with a sign
    lone = torch.where(torch.rand(12, 16) < 0.5, torch.zeros(()), dense)
    found = {"dense": dense, "half": half.view(12, 16), "tiles": tiles, "lone": lone, "bias": torch.zeros(7)}
    return {n: t.to(dtype).contiguous() for n, t in found.items()} | {"nothing": torch.zeros(0, 4, dtype=dtype)}


@pytest.mark.parametrize("piece", [32, 2**22])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_counts_and_patterns_are_those_of_torch(dtype, piece, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_PIECE", piece)
    made = tensors(dtype)
    save_file(made, tmp_path / "m.safetensors")
    found = dict(weights.count(tmp_path / "m.safetensors", PATTERNS))
    assert {n: c.zeros for n, c in found.items()} == {n: int((t == 0).sum()) for n, t in made.items()}
    for name, tensor in made.items():
        if tensor.dim() == 2 and tensor.numel():
            assert set(found[name].patterns) & set(PATTERNS) == {p for p in PATTERNS if keeps_to(tensor, *p)}, name
            assert found[name].patterns == patterns_of((tensor != 0).numpy(), PATTERNS), name
    assert ("N:M", (2, 4)) in found["half"].patterns and ("block", (4, 1)) in found["tiles"].patterns


def pruned(pattern: str, size: tuple[int, int], share: float = 0.5) -> torch.Tensor:
    """A matrix of 128 × 128 that was pruned so, by magnitude."""
    weight = torch.randn(128, 128, generator=torch.Generator().manual_seed(7))
    live = torch.ones(128, 128, dtype=torch.bool)
    area = size[0] * size[1] if pattern == "block" else 1
    n = 1 - size[0] / size[1] if pattern == "N:M" else share
    zeros = [int(n * weight.numel()) // area * area]
    score = weight.abs().reshape(-1)
    choose(pattern, size, "uniform", [score.clone], zeros, [live])
    return live


@pytest.mark.parametrize(("kind", "size"), STANDARD)
def test_a_usual_pattern_that_a_model_came_with_is_found_first_whatever_the_recipe_prunes_to(kind, size):
    found = patterns_of(pruned(kind, size).numpy(), ())
    same_share = [p for p in STANDARD if p[0] == "N:M" and p[1][0] * size[1] == size[0] * p[1][1]]
    assert found and (found[0] == (kind, size) or (kind == "N:M" and found[0] in same_share))
    if kind == "N:M":
        assert patterns_of(pruned(kind, size).numpy(), (("N:M", (4, 8)),))[0] in {*same_share, ("N:M", (4, 8))}


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.875, 0.9, 0.97])
def test_single_weights_are_of_no_pattern_at_any_sparsity(share):
    assert patterns_of(pruned("unstructured", (0, 0), share).numpy(), ()) == ()


def test_what_the_recipe_prunes_to_comes_before_what_it_is_as_well():
    live = pruned("N:M", (2, 4)).numpy()
    assert patterns_of(live, (("N:M", (4, 8)),)) == (("N:M", (4, 8)), ("N:M", (2, 4)))
    assert patterns_of(live, ())[0] == ("N:M", (2, 4))


def test_a_dense_matrix_and_an_empty_one_are_of_no_pattern():
    assert patterns_of(torch.ones(64, 64, dtype=torch.bool).numpy(), ()) == ()
    assert patterns_of(torch.zeros(64, 64, dtype=torch.bool).numpy(), ()) == ()
