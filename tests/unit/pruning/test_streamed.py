"""A cut of scores that never lie together takes the very weights that a cut of all of them takes."""

from __future__ import annotations

import pytest
import torch

from recipelang.pruning import streamed
from recipelang.pruning.selection import smallest


def drawn(dtype: torch.dtype, levels: int) -> list[torch.Tensor]:
    """Of several sizes, one of them empty; with few `levels` many are equal."""
    torch.manual_seed(levels)
    some = [torch.randn(n) for n in (700, 1, 0, 41)]
    return [(s * levels).round().div(levels).to(dtype) if levels else s.to(dtype) for s in some]


def masks(scores: list[torch.Tensor], share: float) -> list[torch.Tensor]:
    return [torch.rand(len(s)) >= share for s in scores]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("levels", [0, 1, 5])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_same_weights_go(monkeypatch, dtype, levels, share):
    monkeypatch.setattr(streamed, "_PIECE", 97)
    scores = drawn(dtype, levels)
    scores[0][:9] = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, 0.0, -0.0, 1.0, 1.0, 1.0])
    live = masks(scores, share)
    masked = sum(int((~m).sum()) for m in live)
    total = sum(len(s) for s in scores)
    for zeros in sorted({masked, min(masked + 1, total), (masked + total) // 2, total}):
        expected = smallest([lambda s=s: s for s in scores], zeros, [m.clone() for m in live])
        found = streamed.cut(lambda: zip(scores, live, strict=True), lambda n, zeros=zeros: zeros)
        assert found.masked == masked
        kept = [found.keep(s, m) for s, m in zip(scores, live, strict=True)]
        assert all(torch.equal(a, b) for a, b in zip(kept, expected, strict=True))


def test_scores_of_two_widths_are_compared_as_they_are():
    scores = [torch.tensor([0.1], dtype=torch.float32), torch.tensor([0.1], dtype=torch.float64)]
    live = [torch.ones(1, dtype=torch.bool)] * 2
    found = streamed.cut(lambda: zip(scores, live, strict=True), lambda _: 1)
    assert [found.keep(s, m).item() for s, m in zip(scores, live, strict=True)] == [True, False]


@pytest.mark.parametrize(("score", "zeros", "why"), [
    (torch.tensor([1.0, torch.nan]), 1, "not a number"),
    (torch.ones(2), 3, "cannot drop"),
    (torch.ones(2), -1, "cannot drop"),
])  # fmt: skip
def test_what_has_no_cut_is_said(score, zeros, why):
    with pytest.raises(ValueError, match=why):
        streamed.cut(lambda: [(score, torch.ones(2, dtype=torch.bool))], lambda _: zeros)
