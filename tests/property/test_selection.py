"""Selection is exact, whatever the scores, ties and dead weights; checked against a plain sort."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

from recipelang.pruning import selection
from tests.property.examples import examples


def smallest(scores, zeros, dead=None, seed=0):
    """By plain tensors of scores and of what is already masked."""
    live = [torch.ones_like(s, dtype=torch.bool) for s in scores] if dead is None else [~d for d in dead]
    keeps = selection.smallest([lambda s=s: s.reshape(-1) for s in scores], zeros, live, seed=seed)
    assert all(k is m for k, m in zip(keeps, live, strict=True)), "the masks in force become the new ones"
    assert all(int(k.view(torch.uint8).max()) <= 1 for k in keeps), "a mark was left in a mask"
    return keeps


def reference(scores, zeros, dead):
    """Sort everything by (alive, score, order) and drop the first `zeros`."""
    flat = torch.cat([s.reshape(-1).double() for s in scores])
    alive = torch.cat([(~d).reshape(-1) for d in dead])
    order = sorted(range(len(flat)), key=lambda i: (bool(alive[i]), float(flat[i]) if alive[i] else 0.0, i))
    keep = torch.ones(len(flat), dtype=torch.bool)
    keep[order[:zeros]] = False
    return [k.view(s.shape) for k, s in zip(keep.split([s.numel() for s in scores]), scores, strict=True)]


@st.composite
def cases(draw):
    shapes = draw(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4))
    levels = draw(st.sampled_from([1, 2, 4, 1000]))
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float64]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    scores = [torch.randint(levels, s, generator=generator).to(dtype) / levels for s in shapes]
    dead = [torch.rand(s, generator=generator) < draw(st.sampled_from([0.0, 0.3, 1.0])) for s in shapes]
    total = sum(s.numel() for s in scores)
    return scores, dead, draw(st.integers(0, total))


@settings(max_examples=examples(50))
@given(cases())
def test_small_sets_equal_a_sort(case):
    scores, dead, zeros = case
    keeps = smallest(scores, zeros, dead)
    assert sum(int((~k).sum()) for k in keeps) == zeros
    assert all(torch.equal(a, b) for a, b in zip(keeps, reference(scores, zeros, dead), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["normal", "tied", "sorted", "heavy"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.9999, 1.0])
def test_large_sets_use_the_bracket_and_are_exact(kind, share, dtype):
    generator = torch.Generator().manual_seed(1)
    scores = [torch.randn(300, 400, generator=generator).abs(), torch.randn(100, 700, generator=generator).abs()]
    if kind == "tied":
        scores = [torch.where(s < 1.6, 0.0, s) for s in scores]
    elif kind == "sorted":
        scores = [s.flatten().sort().values.view(s.shape) for s in scores]
    elif kind == "heavy":
        scores = [s**20 for s in scores]
    scores = [s.to(dtype) for s in scores]
    total = sum(s.numel() for s in scores)
    zeros = round(share * total)
    keeps = smallest(scores, zeros)
    assert sum(int((~k).sum()) for k in keeps) == zeros
    dropped = [s[~k] for s, k in zip(scores, keeps, strict=True) if (~k).any()]
    kept = [s[k] for s, k in zip(scores, keeps, strict=True) if k.any()]
    if dropped and kept:
        assert max(float(d.max()) for d in dropped) <= min(float(k.min()) for k in kept)


def test_result_does_not_depend_on_the_seed():
    scores = [torch.randn(400, 400, generator=torch.Generator().manual_seed(2)).abs().round(decimals=2)]
    first = smallest(scores, 100_000, seed=0)[0]
    assert all(torch.equal(first, smallest(scores, 100_000, seed=s)[0]) for s in range(1, 6))


def test_ties_go_by_order_then_index():
    scores = [torch.zeros(2, 2), torch.zeros(3)]
    keeps = smallest(scores, 5)
    assert [k.flatten().tolist() for k in keeps] == [[False] * 4, [False, True, True]]


def test_masked_weights_stay_masked_even_with_large_scores():
    dead = torch.tensor([True, False, False])
    assert smallest([torch.tensor([9.0, 1.0, 2.0])], 2, [dead])[0].tolist() == [False, False, True]


@pytest.mark.parametrize("n", [10, 100_000])
def test_a_score_that_is_not_a_number_is_an_error(n):
    scores = torch.rand(n)
    scores[n // 2] = float("nan")
    with pytest.raises(ValueError, match="not a number"):
        smallest([scores], n // 2)


def test_more_zeros_than_weights_is_an_error():
    with pytest.raises(ValueError, match="cannot drop"):
        smallest([torch.rand(3)], 4)


@pytest.mark.parametrize("size", [100, 1 << 17])
def test_after_an_error_the_masks_are_as_they_were(size):
    """The score of the second tensor is no number, when the first has been looked at already."""
    good, bad = torch.rand(size), torch.rand(size)
    bad[size // 2] = torch.nan
    live = [torch.rand(size) < 0.9, torch.ones(size, dtype=torch.bool)]
    before = [m.clone() for m in live]
    with pytest.raises(ValueError, match="not a number"):
        selection.smallest([good.clone, bad.clone], size, live)
    assert all(torch.equal(a.view(torch.uint8), b.view(torch.uint8)) for a, b in zip(live, before, strict=True))


def test_what_a_large_update_adds_is_small():
    """Beside weights and masks no more than what one tensor's scores take, and a few candidates."""
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(1 << 14, generator=generator) for _ in range(64)]
    live = [torch.ones_like(w, dtype=torch.bool) for w in weights]
    with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        selection.smallest([w.abs for w in weights], 900_000, live)
    size = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            size += event.nbytes()
            most = max(most, size)
    assert 0 < most < 0.1 * 5 * sum(w.numel() for w in weights)
