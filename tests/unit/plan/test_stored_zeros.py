"""Zeros and patterns counted from files are what torch finds in the tensors."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from recipelang.plan import zeros as weights
from recipelang.pruning.patterns import keeps_to

PATTERNS = (("N:M", (2, 4)), ("block", (4, 1)), ("block", (2, 2)), ("block", (1, 4)))


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
            assert set(found[name].patterns) == {p for p in PATTERNS if keeps_to(tensor, *p)}, name
    assert ("N:M", (2, 4)) in found["half"].patterns and ("block", (4, 1)) in found["tiles"].patterns
